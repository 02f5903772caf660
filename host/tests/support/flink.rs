//! The Flink job of `examples/flink`, run to the end of what its source holds.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use super::kafka::kafka;

/// The job's class path; downloaded and compiled first where something is missing.
static CLASSPATH: LazyLock<String> = LazyLock::new(|| {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let output = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()))
        .current_dir(root)
        .args(["xtask", "flink", "classpath"])
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "the job could not be built: see the lines above");
    String::from_utf8(output.stdout).expect("a path of text").trim().to_owned()
});

/// A job under way.
pub struct Job {
    child: Child,
}

impl Job {
    /// Starts a job with these options, as its README has them.
    pub fn start(options: &[(&str, &str)]) -> Job {
        let mut java = Command::new("java");
        java.args(["-Xmx1g", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", &CLASSPATH]).args([
            "gregor.flink.Locations",
            "--bounded",
            "true",
            "--bootstrap",
            kafka().bootstrap(),
        ]);
        for (name, value) in options {
            java.args([&format!("--{name}"), *value]);
        }
        Job { child: java.spawn().expect("java runs") }
    }

    /// Waits for its end, which must be a good one.
    #[track_caller]
    pub fn finish(mut self, patience: Duration) {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(status) = self.child.try_wait().expect("the job's state") {
                assert!(status.success(), "the job failed: {status}");
                return;
            }
            assert!(Instant::now() < deadline, "the job did not end within {patience:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        // Ended already where a test waited for it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
