//! As `keyvalue`, in the older draft of `wasi:keyvalue`; of its commands `get`,
//! `set`, `exists`, `delete`, `list`, `increment`, `get-many`, and one of its own:
//!
//! ```text
//! list-from N           the first page after cursor N
//! ```

use gregor_sdk::{Failure, reject};
use guests::{answer, command};

use self::wasi::keyvalue::store::{self, Bucket, Error};
use self::wasi::keyvalue::{atomics, batch};

wit_bindgen::generate!({ path: "../../../wit/v1/deps/keyvalue-draft", world: "imports" });

guests::guest!(|record| {
    let store = store::open("").map_err(|_| reject("no store"))?;
    let results: Vec<String> = command(&record).lines().map(|line| run(&store, line)).collect::<Result<_, _>>()?;
    Ok(answer(record, results.join("\n")))
});

fn run(store: &Bucket, line: &str) -> Result<String, Failure> {
    let words: Vec<&str> = line.split_whitespace().collect();
    Ok(match *words {
        ["get", key] => outcome(store.get(key), shown),
        ["set", key, value] => outcome(store.set(key, value.as_bytes()), |()| "ok".into()),
        ["exists", key] => outcome(store.exists(key), |exists| exists.to_string()),
        ["delete", key] => outcome(store.delete(key), |()| "ok".into()),
        ["list"] => outcome(list(store), |(pages, keys)| format!("{pages} {}", keys.join(" "))),
        ["list-from", cursor] => outcome(store.list_keys(Some(parsed(cursor)?)), |page| page.keys.join(" ")),
        ["increment", key, by] => outcome(atomics::increment(store, key, parsed(by)?), |sum| sum.to_string()),
        ["get-many", ref keys @ ..] => {
            let keys: Vec<String> = keys.iter().map(|key| key.to_string()).collect();
            outcome(batch::get_many(store, &keys), |found| {
                let shown = found.into_iter().map(|entry| shown(entry.map(|(_, value)| value)));
                shown.collect::<Vec<_>>().join(" ")
            })
        }
        _ => return Err(reject("no such command")),
    })
}

fn list(store: &Bucket) -> Result<(u32, Vec<String>), Error> {
    let (mut pages, mut all) = (0, Vec::new());
    let mut page = store.list_keys(None)?;
    loop {
        pages += 1;
        all.append(&mut page.keys);
        let Some(cursor) = page.cursor else { return Ok((pages, all)) };
        page = store.list_keys(Some(cursor))?;
    }
}

fn shown(value: Option<Vec<u8>>) -> String {
    value.map_or_else(|| "none".into(), |value| String::from_utf8_lossy(&value).into_owned())
}

fn outcome<T>(result: Result<T, Error>, shown: impl FnOnce(T) -> String) -> String {
    match result {
        Ok(value) => shown(value),
        Err(Error::NoSuchStore) => "error no-such-store".into(),
        Err(Error::AccessDenied) => "error access-denied".into(),
        Err(Error::Other(text)) => format!("error {text}"),
    }
}

fn parsed<T: std::str::FromStr>(number: &str) -> Result<T, Failure> {
    number.parse().map_err(|_| reject("not a number"))
}
