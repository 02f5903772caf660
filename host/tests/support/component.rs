//! Components made in the test: guests written as WebAssembly text, and any
//! core module in the shape of a plugin.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use arbitrary::Unstructured;
use wasm_encoder::{CodeSection, Function, RawSection};
use wasm_smith::Config;
use wasmparser::{Parser, Payload};
use wit_component::{ComponentEncoder, StringEncoding};
use wit_parser::{Resolve, WorldId};

use super::chance::Chance;

static WORLD: LazyLock<(Resolve, WorldId)> = LazyLock::new(|| {
    let mut resolve = Resolve::default();
    resolve.push_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit/v1")).expect("wit/v1");
    let own = resolve.push_file(folder().join("world.wit")).expect("the guests' world");
    let world = resolve.select_world(&[own], Some("guest")).expect("one world");
    (resolve, world)
});

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/guests/wat")
}

/// The component of `tests/guests/wat/<name>.wat`, to be put into the frame, or
/// of `<name>.module.wat`, which is whole; if there is one.
pub fn written(name: &str) -> Option<Vec<u8>> {
    let read = |ending: &str| fs::read_to_string(folder().join(format!("{name}.{ending}"))).ok();
    let whole = || Some(component(wat::parse_str(read("module.wat")?).expect("WebAssembly text")));
    read("wat").map(|own| framed(&own)).or_else(whole)
}

/// A component whose core module is the frame with `own` in it.
pub fn framed(own: &str) -> Vec<u8> {
    let frame = fs::read_to_string(folder().join("frame.wat")).expect("the frame");
    let module = wat::parse_str(frame.replace("(; MARK ;)", own)).expect("WebAssembly text");
    component(module)
}

/// `module` as a component of the guests' world, of which it imports what it uses.
pub fn component(mut module: Vec<u8>) -> Vec<u8> {
    let (resolve, world) = &*WORLD;
    wit_component::embed_component_metadata(&mut module, resolve, *world, StringEncoding::UTF8).expect("metadata");
    let mut encoder = ComponentEncoder::default();
    encoder.validate(false).module(&module).expect("a module of that world");
    encoder.encode().expect("a component")
}

/// A component of no particular shape.
pub fn any(chance: &mut Chance) -> Vec<u8> {
    loop {
        let seed = bytes(chance);
        // Bytes that run out give none.
        if let Ok(component) = wasm_smith::Component::new(Config::default(), &mut Unstructured::new(&seed)) {
            return component.to_bytes();
        }
    }
}

/// A component of the shape of a plugin, its code of chance. Three of four have
/// an allocator that gives an address, or hardly any call would reach `process`.
pub fn generated(chance: &mut Chance) -> Vec<u8> {
    let shape = fs::read_to_string(folder().join("generated-shape.wat")).expect("the shape");
    let imports = shape.matches("(import").count() as u32;
    let shape = wat::parse_str(shape).expect("WebAssembly text");
    loop {
        let config = Config {
            module_shape: Some(shape.clone()),
            max_instructions: 1_000,
            // What the host does not run at all is refused, one like the other.
            reference_types_enabled: chance.one_in(16),
            gc_enabled: false,
            exceptions_enabled: false,
            threads_enabled: false,
            shared_everything_threads_enabled: false,
            memory64_enabled: false,
            custom_page_sizes_enabled: false,
            wide_arithmetic_enabled: false,
            max_memories: 1,
            max_tables: 4,
            ..Config::default()
        };
        let seed = bytes(chance);
        let Ok(module) = wasm_smith::Module::new(config, &mut Unstructured::new(&seed)) else { continue };
        let module = module.to_bytes();
        return component(if chance.one_in(4) { module } else { with_allocator(&module, imports) });
    }
}

fn bytes(chance: &mut Chance) -> Vec<u8> {
    let len = 1_000 + chance.below(20_000);
    (0..len).map(|_| chance.below(256) as u8).collect()
}

/// `module` with a `cabi_realloc` that always gives the same address.
fn with_allocator(module: &[u8], imports: u32) -> Vec<u8> {
    let (mut made, mut code) = (wasm_encoder::Module::new(), CodeSection::new());
    let (mut allocator, mut left, mut index) = (0, 0, imports);
    for payload in Parser::new(0).parse_all(module) {
        let payload = payload.expect("a module");
        match &payload {
            Payload::ExportSection(exports) => {
                let named = exports.clone().into_iter().flatten().find(|export| export.name == "cabi_realloc");
                allocator = named.expect("it is in the shape").index;
            }
            Payload::CodeSectionStart { count, .. } => left = *count,
            Payload::CodeSectionEntry(body) => {
                if index == allocator {
                    let mut function = Function::new([]);
                    function.instructions().i32_const(1_024).end();
                    code.function(&function);
                } else {
                    code.raw(body.as_bytes());
                }
                (index, left) = (index + 1, left - 1);
                if left == 0 {
                    made.section(&code);
                }
            }
            _ => {}
        }
        if !matches!(payload, Payload::CodeSectionStart { .. })
            && let Some((id, range)) = payload.as_section()
        {
            made.section(&RawSection { id, data: &module[range.start..range.end] });
        }
    }
    made.finish()
}
