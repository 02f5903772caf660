//! The host's own folder: whose it is, and what becomes of it while it is in use.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use crate::support::extra::{Line, Topics, stage};
use crate::support::{Host, Setup, plugin};

const TOKEN: &str = "s3cret";

fn setup(topics: &Topics) -> Setup {
    Setup::new().workers(1).pipeline(topics.pipeline().stage(stage("echo", "")))
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("the folder is ours");
}

#[test]
fn a_data_folder_that_others_can_change_is_refused() {
    let setup = setup(&Topics::new(1));
    let data = setup.data("one");
    fs::create_dir(&data).expect("a folder");
    mode(&data, 0o777);
    let refused = |what: &str| {
        let (code, log) = setup.run_refused();
        assert_eq!(code, Some(1), "{log}");
        assert!(log.contains(what), "no {what:?} in {log}");
    };
    refused(" has mode 0777, so others than the host's user could replace what is in `host.data-dir`");
    mode(&data, 0o700);
    mode(setup.path(), 0o773);
    refused(" has mode 0773");
    mode(setup.path(), 0o700);
    fs::create_dir(data.join("versions")).expect("a folder");
    mode(&data.join("versions"), 0o722);
    refused("versions: others may write to it (mode 0722)");
    mode(&data.join("versions"), 0o700);
    // Neither is a link in the place of the audit log followed.
    fs::remove_file(data.join("audit.log")).expect("the host made it");
    symlink(setup.path().join("elsewhere"), data.join("audit.log")).expect("a link");
    refused("audit.log: it is a link");
    assert!(!setup.path().join("elsewhere").exists());
}

#[test]
fn two_hosts_cannot_share_a_data_folder() {
    let setup = setup(&Topics::new(1));
    let mut first = setup.start();
    let (code, log) = setup.run_refused();
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("is in use by another host (host one, process "), "{log}");
    assert_eq!(first.term(), Some(0));
    let data = fs::metadata(setup.data("one")).expect("a folder");
    assert_eq!(data.mode() & 0o777, 0o700);
    setup.start();
}

#[test]
fn nothing_changes_once_the_audit_log_is_gone() {
    let topics = Topics::new(1);
    let setup = setup(&topics);
    let host = Host::spawn_with(&setup.write(), "one", &[], &[("GREGOR__HOST__ADMIN_TOKEN", TOKEN)]);
    host.wait_until_ready();
    let line = Line::of(topics, setup, host);
    let (log, kept) = (line.setup.data("one").join("audit.log"), line.setup.path().join("kept"));
    fs::rename(&log, &kept).expect("moved");
    let (status, said) = line.host.post("/api/v1/plugins/echo", TOKEN, &plugin("version-b"));
    assert_eq!(status, 422);
    assert!(said.to_string().contains("was removed or replaced while this host runs"), "{said}");
    let (status, said) = line.host.post("/api/v1/pipelines/line/pause", TOKEN, b"");
    assert_eq!(status, 503, "{said}");
    assert_eq!(line.ask(0, "on"), "on", "records flow on");
    fs::rename(&kept, &log).expect("back");
    let (status, said) = line.host.post("/api/v1/plugins/echo", TOKEN, &plugin("version-b"));
    assert_eq!(status, 200, "{said}");
}
