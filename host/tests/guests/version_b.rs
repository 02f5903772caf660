//! Echoes with a header `version` = `b`.

guests::version!("b");
