//! Each line of the value is a command to `wasi:keyvalue`, in its draft 2; the
//! output's value has a line of result for each. The store is opened once, by the
//! instance's first record.
//!
//! ```text
//! open NAME             ok | error …
//! get K                 value | none
//! set K V               ok | error …
//! delete K              ok
//! exists K              true | false
//! list                  number of pages, then the keys
//! increment K N         sum | error …
//! get-many K K…         value or none for each, between spaces
//! set-many K V K V…     ok | error …
//! delete-many K K…      ok
//! mean K                ok | error …; means to swap what stands under K
//! swap V                ok | failed CURRENT; from there another swap may be made
//! hoard open | mean     asks for handles without end
//! reject                ends the call that way, after what came before
//! ```
//!
//! `-` stands for the empty text.

use std::cell::{OnceCell, RefCell};

use gregor_sdk::{Failure, reject};
use guests::{answer, command};

use self::wasi::keyvalue::atomics::{self, Cas, CasError};
use self::wasi::keyvalue::batch;
use self::wasi::keyvalue::store::{self, Bucket, Error};

wit_bindgen::generate!({ path: "../../../wit/v1/deps/keyvalue", world: "imports" });

thread_local! {
    static STORE: OnceCell<Bucket> = const { OnceCell::new() };
    static MEANT: RefCell<Option<Cas>> = const { RefCell::new(None) };
}

guests::guest!(|record| {
    let run_all = |store: &Bucket| command(&record).lines().map(|line| run(store, line)).collect::<Result<_, _>>();
    let results: Vec<String> =
        STORE.with(|store| run_all(store.get_or_init(|| store::open("default").expect("a store"))))?;
    Ok(answer(record, results.join("\n")))
});

fn run(store: &Bucket, line: &str) -> Result<String, Failure> {
    let words: Vec<&str> = line.split_whitespace().map(|w| if w == "-" { "" } else { w }).collect();
    Ok(match *words {
        ["open", name] => outcome(store::open(name), |_| "ok".into()),
        ["get", key] => outcome(store.get(key), shown),
        ["set", key, value] => outcome(store.set(key, value.as_bytes()), |()| "ok".into()),
        ["delete", key] => outcome(store.delete(key), |()| "ok".into()),
        ["exists", key] => outcome(store.exists(key), |exists| exists.to_string()),
        ["list"] => outcome(list(store), |(pages, keys)| format!("{pages} {}", keys.join(" "))),
        ["increment", key, by] => outcome(atomics::increment(store, key, parsed(by)?), |sum| sum.to_string()),
        ["get-many", ref keys @ ..] => outcome(batch::get_many(store, &owned(keys)), |found| {
            let shown = found.into_iter().map(|entry| shown(entry.map(|(_, value)| value)));
            shown.collect::<Vec<_>>().join(" ")
        }),
        ["set-many", ref words @ ..] => {
            let entry = |pair: &[&str]| (pair[0].to_owned(), pair[1].as_bytes().to_vec());
            let entries: Vec<_> = words.chunks_exact(2).map(entry).collect();
            outcome(batch::set_many(store, &entries), |()| "ok".into())
        }
        ["delete-many", ref keys @ ..] => outcome(batch::delete_many(store, &owned(keys)), |()| "ok".into()),
        ["mean", key] => outcome(Cas::new(store, key), |cas| {
            MEANT.set(Some(cas));
            "ok".into()
        }),
        ["swap", value] => swap(value)?,
        ["hoard", "open"] => hoard(|| store::open("")),
        ["hoard", "mean"] => hoard(|| Cas::new(store, "k")),
        ["reject"] => return Err(reject("the script says so")),
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
        page = store.list_keys(Some(&cursor))?;
    }
}

fn swap(value: &str) -> Result<String, Failure> {
    let meant = MEANT.take().ok_or_else(|| reject("nothing was meant"))?;
    Ok(match atomics::swap(meant, value.as_bytes()) {
        Ok(()) => "ok".into(),
        Err(CasError::StoreError(error)) => outcome(Err::<(), _>(error), |()| String::new()),
        Err(CasError::CasFailed(newer)) => {
            let current = outcome(newer.current(), shown);
            MEANT.set(Some(newer));
            format!("failed {current}")
        }
    })
}

fn hoard<T>(mut ask: impl FnMut() -> Result<T, Error>) -> String {
    let mut held = Vec::new();
    while let Ok(handle) = ask() {
        held.push(handle);
    }
    format!("refused after {}", held.len())
}

fn owned(keys: &[&str]) -> Vec<String> {
    keys.iter().map(|key| key.to_string()).collect()
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
