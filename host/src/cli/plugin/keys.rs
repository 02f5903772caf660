//! `gregor plugin keygen`, `sign` and `verify`

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, anyhow, bail};
use wasmsign2::{KeyPair, PublicKey, SecretKey};

use crate::config::public_key;
use crate::deploy::signature::{self, Trusted};
use crate::files::foreign;
use crate::plugin::Outline;

/// A host's own limit is in its configuration.
const MAX_SIZE: u64 = 1 << 30;

/// Make a pair of keys: one signs plugins, hosts trust the other
///
/// Writes FILE, which signs and is readable by its owner only, and FILE.pub.
/// Keep FILE away from the hosts.
#[derive(clap::Args)]
#[command(after_help = "Example: gregor plugin keygen --output release.key")]
pub struct KeygenArgs {
    /// Where the secret key goes; its public half goes beside it as FILE.pub
    #[arg(long, value_name = "FILE", default_value = "gregor.key")]
    output: PathBuf,
}

/// Sign a component
///
/// The signature is ed25519 in a custom section in front, as wasmsign2 has it; it
/// covers every byte after that.
#[derive(clap::Args)]
#[command(after_help = "Example: gregor plugin sign plugins/last-location.wasm --key release.key")]
pub struct SignArgs {
    /// The component, a .wasm file
    file: PathBuf,
    /// The secret key, PEM
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Where the signed component goes [default: in the file's place]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Check a component's signature
///
/// Exit codes: 0 one of the keys signed exactly this; 4 none did.
#[derive(clap::Args)]
#[command(after_help = "Example: gregor plugin verify plugins/last-location.wasm --key release.key.pub")]
pub struct VerifyArgs {
    /// The component, a .wasm file
    file: PathBuf,
    /// A public key, PEM; may be given several times
    #[arg(long = "key", value_name = "FILE", required = true)]
    keys: Vec<PathBuf>,
}

pub fn keygen(KeygenArgs { output }: &KeygenArgs) -> anyhow::Result<ExitCode> {
    let mut public = output.clone().into_os_string();
    public.push(".pub");
    let pair = KeyPair::generate();
    create(output, 0o600, &pair.sk.to_pem())?;
    create(Path::new(&public), 0o644, &pair.pk.to_pem())?;
    println!("{} signs plugins: keep it away from the hosts.", output.display());
    println!("{} is for those who check. In gregor.toml:", Path::new(&public).display());
    println!("\n[plugins]\ntrusted-keys = [\"{}\"]", one_line(&pair.pk));
    Ok(ExitCode::SUCCESS)
}

pub fn sign(SignArgs { file, key, output }: &SignArgs) -> anyhow::Result<ExitCode> {
    let secret = read(key).map(|pem| SecretKey::from_pem(&String::from_utf8_lossy(&pem)))?;
    let Ok(secret) = secret else {
        bail!("{} is no secret key in PEM: make one with `gregor plugin keygen`", key.display());
    };
    let component = read(file)?;
    // A signature says that it is a plugin: nothing else gets one.
    let signed = Outline::read(&component, MAX_SIZE).and_then(|_| signature::sign(&component, &secret));
    let signed = match signed {
        Ok(signed) => signed,
        Err(refused) => {
            complain!("error: {} is not signed, a host would refuse it: {refused}", file.display());
            return Ok(ExitCode::from(super::REFUSED));
        }
    };
    let output = output.as_ref().unwrap_or(file);
    replace(output, &signed).with_context(|| format!("cannot write {}", output.display()))?;
    println!("{} is signed, digest {}", output.display(), crate::plugin::Digest::of(&signed));
    Ok(ExitCode::SUCCESS)
}

pub fn verify(VerifyArgs { file, keys }: &VerifyArgs) -> anyhow::Result<ExitCode> {
    let public = |path: &PathBuf| {
        let key = public_key(&String::from_utf8_lossy(&read(path)?));
        key.ok_or_else(|| anyhow!("{} is no public key in PEM, as `gregor plugin keygen` writes it", path.display()))
    };
    let keys = keys.iter().map(public).collect::<anyhow::Result<Vec<_>>>()?;
    match Trusted::new(&keys).check(&read(file)?) {
        Ok(()) => {
            println!("{} is signed by a key that was given", file.display());
            Ok(ExitCode::SUCCESS)
        }
        Err(refusal) => {
            complain!("error: {} would be refused: {refusal}", file.display());
            Ok(ExitCode::from(super::REFUSED))
        }
    }
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    foreign::read(path, MAX_SIZE).with_context(|| format!("cannot read {}", path.display()))
}

/// Never in the place of a key that may be in use.
fn create(path: &Path, mode: u32, text: &str) -> anyhow::Result<()> {
    let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let mut file = file.with_context(|| format!("cannot make {}", path.display()))?;
    file.write_all(text.as_bytes()).with_context(|| format!("cannot write {}", path.display()))
}

/// Whole, by a rename: a host may be watching the file.
fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".signed-").tempfile_in(folder)?;
    file.write_all(bytes)?;
    // As readable as the file before: the host's user may be another one.
    let mode = fs::metadata(path)
        .map_or_else(|_| std::os::unix::fs::PermissionsExt::from_mode(0o644), |was| was.permissions());
    file.as_file().set_permissions(mode)?;
    file.persist(path)?;
    Ok(())
}

fn one_line(key: &PublicKey) -> String {
    key.to_pem().lines().filter(|line| !line.starts_with("-----")).collect()
}
