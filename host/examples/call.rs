use gregor::{
    config::Config,
    plugin::{Engine, Instance, Scope, Version},
    record::Record,
    state::{Cache, CacheLimits},
};
use std::sync::Arc;
use std::time::Instant;
fn main() {
    let engine = Engine::new(8, 64 << 20).unwrap();
    for (name, bytes) in gregor::demo_plugins() {
        if name == "key-by" {
            continue;
        }
        let text = format!(
            "app=\"a\"\n[kafka]\n\"bootstrap.servers\"=\"x:1\"\n[[pipeline]]\nname=\"p\"\nsource=\"s\"\nsink=\"t\"\n[[pipeline.stage]]\nplugin=\"{name}\"\n"
        );
        let config = Config::parse(&text, "x", std::path::Path::new("."), [], &|_, _| Ok(())).unwrap();
        let scope = Arc::new(Scope::new("p", &config.pipelines[0].stages[0]));
        let v = Version::compile(&engine, name, bytes, 1 << 30).unwrap();
        let mut i = Instance::new(&engine, &v, &scope).unwrap();
        let mut cache = Box::new(Cache::new(CacheLimits { bytes: 1 << 30, value: 1 << 20 }));
        let values: Vec<(String, String)> = (0..3000)
            .map(|n| {
                let k = format!("patient-{n:05}");
                let v = format!(
                    r#"{{"patientId":"{k}","lat":{},"lon":{},"ts":{}}}"#,
                    50.0 + n as f64 / 1e6 * 7.0,
                    4.0 + n as f64 / 1e6,
                    1700000000000u64 + n
                );
                (k, v)
            })
            .collect();
        for round in 0..6 {
            let t = Instant::now();
            let mut out = 0;
            for (k, v) in values.iter().cycle().take(300_000) {
                let r = Record {
                    topic: "locations",
                    partition: 1,
                    offset: 1,
                    timestamp: 1700000000000,
                    key: Some(k.as_bytes()),
                    value: Some(v.as_bytes()),
                    headers: &[],
                };
                cache.begin(1700000000000);
                out += i.process(&r, 1700000000000, &mut cache).unwrap().len();
                cache.keep();
            }
            if round > 2 {
                println!("{name}: {:.3} µs a call ({out})", t.elapsed().as_secs_f64() * 1e6 / 300_000.0);
            }
        }
    }
}
