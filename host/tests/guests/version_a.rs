//! Echoes with a header `version` = `a`.

guests::version!("a");
