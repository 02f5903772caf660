/// Windows that a record may be in at most.
const MAX_OVERLAP: u64 = 1_000;

/// How windows lie in time; all in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Shape {
    Sliding { length: u64, slide: u64 },
    Session { gap: u64 },
}

impl Shape {
    pub fn sliding(length: u64, slide: u64) -> Result<Self, String> {
        if length == 0 || slide == 0 {
            return Err("a window and its slide are at least a millisecond long".into());
        }
        if slide > length {
            return Err(format!("a slide of {slide} ms leaves gaps between windows of {length} ms"));
        }
        if length.div_ceil(slide) > MAX_OVERLAP {
            return Err(format!(
                "windows of {length} ms every {slide} ms put a record in more than {MAX_OVERLAP}: make the slide longer"
            ));
        }
        Ok(Self::Sliding { length, slide })
    }

    pub fn session(gap: u64) -> Result<Self, String> {
        match gap {
            0 => Err("the gap between sessions is at least a millisecond long".into()),
            gap => Ok(Self::Session { gap }),
        }
    }
}

/// Start and end of each window that holds `timestamp`, earliest first. None
/// starts before the Unix epoch, as in Kafka Streams.
pub fn sliding(length: u64, slide: u64, timestamp: u64) -> impl Iterator<Item = (u64, u64)> {
    let last = timestamp - timestamp % slide;
    (0..length.div_ceil(slide))
        .rev()
        .filter_map(move |before| last.checked_sub(before * slide))
        .map(move |start| (start, start.saturating_add(length)))
        .filter(move |(_, end)| timestamp < *end)
}
