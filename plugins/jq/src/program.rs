//! A jq program, compiled once.

use gregor_sdk::document::Value;
use jaq_core::data::JustLut;
use jaq_core::load::{self, Arena, File, Loader};
use jaq_core::{Compiler, Ctx, Filter, Vars, unwrap_valr};
use jaq_json::Val;

use crate::value::{read, write};

/// The state of a record's key.
const STATE: &str = "$state";

pub struct Program {
    filter: Filter<JustLut<Val>>,
    has_state: bool,
}

impl Program {
    /// # Errors
    /// Where `text` is no program, with its place.
    pub fn compile(text: &str) -> Result<Self, String> {
        let loader = Loader::new(jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs()));
        let arena = Arena::default();
        let modules = loader.load(&arena, File { code: text, path: () }).map_err(|errors| unloaded(text, &errors))?;
        let funs = jaq_core::funs().chain(jaq_std::funs()).chain(jaq_json::funs());
        let compiler = Compiler::default().with_funs(funs).with_global_vars([STATE]);
        let filter = compiler.compile(modules).map_err(|errors| {
            let undefined = errors.iter().flat_map(|(_, errors)| errors).next();
            match undefined {
                Some((name, what)) => format!("the program has `{name}`, which is no {} of jq", what.as_str()),
                None => "the program cannot be compiled".to_owned(),
            }
        })?;
        Ok(Self { filter, has_state: text.contains(STATE) })
    }

    /// Whether the program asks for the state.
    pub fn has_state(&self) -> bool {
        self.has_state
    }

    /// What the program returns, one after the other.
    pub fn run(&self, input: &Value<'_>, state: &Value<'_>) -> impl Iterator<Item = Result<Value<'static>, String>> {
        let context = Ctx::<JustLut<Val>>::new(&self.filter.lut, Vars::new([write(state)]));
        let outputs = self.filter.id.run((context, write(input))).map(unwrap_valr);
        // The library's own words quote the record.
        outputs.map(|output| {
            output.map_err(|_| "the program fails with this record".to_owned()).and_then(|value| read(&value))
        })
    }
}

fn unloaded(text: &str, errors: &load::Errors<&str, ()>) -> String {
    let place = |part: &str| load::span(text, part).start;
    let told = |expected: &str, at: usize| format!("the program is no jq at character {at}: expected {expected}");
    match errors.first().map(|(_, error)| error) {
        Some(load::Error::Lex(errors)) => match errors.first() {
            Some((expected, part)) => told(expected.as_str(), place(part)),
            None => "the program is no jq".to_owned(),
        },
        Some(load::Error::Parse(errors)) => match errors.first() {
            Some((expected, part)) => told(expected.as_str(), place(part)),
            None => "the program is no jq".to_owned(),
        },
        _ => "the program loads modules, which a plugin has not".to_owned(),
    }
}
