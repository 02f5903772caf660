//! `cargo xtask kafka start`.

use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::broker::{Broker, Life, PROPERTIES, listening, running};
use super::{Start, jars, lock_start};

/// Starts a broker that goes on when this process ends, or that ends with it.
///
/// # Errors
/// When the port or the folder is another broker's, or this one does not come up.
pub fn run(args: &Start) -> Result<()> {
    let libs = jars::fetch()?;
    fs::create_dir_all(&args.data).with_context(|| format!("cannot create {}", args.data.display()))?;
    let data = args.data.canonicalize()?;
    let alone = lock_start()?;

    let address = format!("localhost:{}", args.port);
    if let Some(pid) = running(&data) {
        if args.attached {
            bail!("a broker (pid {pid}) already runs on {} and is another's to end", data.display());
        }
        let listeners = fs::read_to_string(data.join(PROPERTIES))?;
        if !listeners.contains(&format!("PLAINTEXT://127.0.0.1:{},", args.port)) {
            bail!(
                "a broker (pid {pid}) already runs on {} with another port: stop it, \
                 or give this one a folder of its own with --data",
                data.display()
            );
        }
        report("already running", &address, pid, &data);
        return Ok(());
    }
    if !freed(args.port) {
        bail!("port {} is in use: choose another with --port", args.port);
    }
    if args.fresh {
        wipe(&data)?;
    }
    let broker = Broker { libs, data, port: args.port, heap: &args.heap, set: &args.set };
    let life = if args.attached { Life::OfThisProcess } else { Life::OfItsOwn };
    let mut child = broker.launch(life)?;
    drop(alone);
    report("ready", &address, child.id(), &broker.data);
    if args.attached {
        // Not in the child's own hands: to wait for it would close the pipe that it ends with.
        let tie = child.stdin.take();
        std::thread::spawn(move || {
            // An error ends standard input as well.
            let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
            drop(tie);
        });
        child.wait()?;
    }
    Ok(())
}

/// Whether the port is free, or comes free within a moment, as that of a
/// broker just stopped does.
fn freed(port: u16) -> bool {
    (0..20).any(|tried| {
        if tried > 0 {
            sleep(Duration::from_millis(100));
        }
        !listening(port)
    })
}

/// Empties a data folder, but never one that is something else.
fn wipe(data: &Path) -> Result<()> {
    let empty = fs::read_dir(data)?.next().is_none();
    if !empty && !data.join(PROPERTIES).exists() {
        bail!("--fresh: {} is not a broker's data folder, so it stays as it is", data.display());
    }
    fs::remove_dir_all(data)?;
    fs::create_dir(data)?;
    Ok(())
}

fn report(state: &str, address: &str, pid: u32, data: &Path) {
    println!("Kafka {} {state}", jars::version());
    println!("  bootstrap  {address}");
    println!("  pid        {pid}");
    println!("  data       {}", data.display());
}
