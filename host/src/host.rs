//! One host: starts the workers, the watch over plugins and the admin server,
//! and ends them.

mod bounded;
mod brokers;
mod discover;
mod error;
mod options;

use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use crossbeam_channel::{Receiver, Sender};
use hashbrown::HashMap;
use rdkafka::consumer::{BaseConsumer, Consumer};
use tokio::runtime::Runtime;

use crate::admin::{Admin, DeployAccess, StateAccess, Status};
use crate::commit::WorkerError;
use crate::commit::{Committer, Watchdog};
use crate::config::{Config, Guarantee};
use crate::deploy::{Deployer, Flows, Loader, PluginStatuses, Records, Watch, Workers};
use crate::files::{DataDir, DataDirError, OwnedFolder};
use crate::kafka::topics::{Facts, Topics};
use crate::kafka::{self, BrokerError, Member};
use crate::observe::{Health, Metrics, Views};
use crate::plan::Plan;
use crate::plugin::compiler::{Bounds, Compiler};
use crate::plugin::{CodeFolder, Engine};
use crate::record::TopicPartition;
use crate::redrive::{Follower, Requests};
use crate::state::{Copies, Standby, Stores};
use crate::task::{Context, Versions};
use crate::worker::{self, Command, Shared, Worker};
use bounded::BoundedRun;

pub use error::HostError;
pub use options::{Begin, Options};

/// A worker's stack: a guest's calls run on it, and host calls below them.
const WORKER_STACK: usize = 8 << 20;
/// How long a host that is to stop waits for a rebalance to end.
const SETTLE: Duration = Duration::from_secs(5);
/// How often a bounded run looks whether it is done.
const BOUNDED_LOOK: Duration = Duration::from_millis(200);

/// Why a running host is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Someone asked for it.
    Asked,
    /// A bounded run has committed everything up to its end.
    Bounded,
}

/// A running host.
pub struct Host {
    config: Config,
    /// Commands to each worker.
    workers: Vec<Sender<Command>>,
    threads: Vec<JoinHandle<()>>,
    ended: Receiver<(usize, Result<(), WorkerError>)>,
    shared: Arc<Shared>,
    plugins: PluginStatuses,
    admin: Option<SocketAddr>,
    /// Asks the group about its offsets, in a bounded run.
    probe: Option<BaseConsumer>,
    /// Reads the redrive topics, where a pipeline has dead letters.
    _follower: Option<Follower>,
    /// Hangs up to end the watches.
    _watch: Sender<()>,
    /// Nobody else has the folder as long as this host lives.
    _data: DataDir,
    /// The admin server's.
    _runtime: Runtime,
}

impl Host {
    /// Checks topics, loads plugins, then starts the workers.
    ///
    /// # Errors
    /// Everything that keeps it from running, with what to do.
    pub fn start(config: Config, options: Options) -> Result<Host, HostError> {
        let plans: Arc<[Arc<Plan>]> =
            config.pipelines.iter().map(|pipeline| Arc::new(Plan::new(&config, pipeline))).collect();
        let memory = config.pipelines.iter().flat_map(|pipeline| &pipeline.stages).map(|stage| stage.limits.memory);
        let engine = Engine::new(config.host.max_instances, memory.max().unwrap_or_default())
            .map_err(|error| HostError::Pool(format!("{error:#}")))?;
        let metrics = Metrics::new();
        let data = DataDir::open(&config.host.data_dir, &config.host.id)?;
        let records = Records::open(data.folder(), config.plugins.keep_versions)?;
        let loader = Loader::new(
            engine.clone(),
            plans.clone(),
            &config.plugins,
            code_folder(&config, data.folder(), &engine, options.apart)?,
            metrics.clone(),
        );
        let plugins: PluginStatuses = Arc::default();
        let started = records.load_all(&loader, &plugins)?;
        let versions = started.versions.clone();
        let (topics, changelogs) = discover::discover(&config, &plans)?;
        let stores = Arc::new(Stores::open(&config, &plans, &topics, changelogs)?);
        let topics = Arc::new(topics);
        let bounds = options.bounded.then(|| ends(&config, &plans, &topics)).transpose()?;
        let probe = options.bounded.then(|| kafka::base_config(&config).set("group.id", &config.app).create());
        let shelf = Arc::new(worker::Shelf::default());
        let (copies, left) = (Copies::default(), shelf.clone());
        let forget = Box::new(move |id: &TopicPartition| drop(left.take(id)));
        let (app, host) = (&config.app, &config.host.id);
        let standby = Standby::start(app, host, plans.clone(), stores.clone(), copies.clone(), forget)?;
        let shared = Arc::new(Shared {
            views: Arc::new(Views::default()),
            metrics,
            health: Arc::new(Health::new(config.host.workers)),
            shelf,
            standby: Arc::new(standby),
            redrives: Arc::new(Requests::default()),
            awaited: Arc::default(),
            instances: worker::Instances::new(config.host.max_instances as usize),
            ends: Arc::default(),
            unknown_versions: config.plugins.unknown_versions,
            audit: started.audit.clone(),
            facts: Arc::new(Facts::new(&config, &plans, topics.clone())),
            bounds,
        });
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).thread_name("admin").enable_all().build()?;
        let channels: Vec<_> = (0..config.host.workers).map(|_| crossbeam_channel::unbounded()).collect();
        let workers: Vec<_> = channels.iter().map(|(command, _)| command.clone()).collect();
        let of_workers = Workers::new(workers.clone());
        let flows = Flows::new(&plans, topics.clone(), of_workers.clone(), started.audit.clone());
        let (requests, asked): (std::collections::HashMap<_, _>, Vec<_>) = loader
            .plugins()
            .into_iter()
            .map(|plugin| {
                let (request, requests) = crossbeam_channel::unbounded();
                ((plugin.clone(), request), (plugin, requests))
            })
            .unzip();
        let deploys = DeployAccess::new(requests, Arc::new(flows), config.plugins.max_size);
        let admin = start_admin(&config, &runtime, &shared, copies, &plugins, workers.clone(), deploys)?;

        let redriven = |plan: &Arc<Plan>| Some((plan.name.clone(), plan.redrive.as_ref()?.to_string()));
        let redriven: Vec<_> = plans.iter().filter_map(redriven).collect();
        let follower = match redriven.is_empty() {
            true => None,
            false => Some(Follower::start(kafka::base_config(&config), redriven, shared.redrives.clone())?),
        };
        let (over, ended) = crossbeam_channel::unbounded();
        let mut host = Host {
            workers,
            threads: Vec::new(),
            ended,
            shared: shared.clone(),
            plugins: plugins.clone(),
            admin,
            probe: probe.transpose().map_err(BrokerError::Client)?,
            _follower: follower,
            _watch: crossbeam_channel::bounded(0).0,
            _data: data,
            _runtime: runtime,
            config,
        };
        if !options.begin.begin() {
            return Err(HostError::Cancelled);
        }
        for (index, (_, commands)) in channels.into_iter().enumerate() {
            host.start_worker(index, commands, &engine, &plans, &topics, &stores, versions.clone(), over.clone())?;
        }
        let (hang_up, stop) = crossbeam_channel::bounded(0);
        host._watch = hang_up;
        let (ends, views, stopped, of) = (shared.ends.clone(), shared.views.clone(), stop.clone(), plans.clone());
        let mut asking = kafka::base_config(&host.config);
        asking.set("isolation.level", "read_committed");
        std::thread::Builder::new().name("ends".into()).spawn(move || ends.follow(&asking, &of, &views, &stopped))?;
        let (asking, health, stopped) = (host.config.clone(), shared.health.clone(), stop.clone());
        let brokers = move || brokers::follow(&asking, &health, &stopped);
        std::thread::Builder::new().name("brokers".into()).spawn(brokers)?;
        for (plugin, requests) in asked {
            let deployer = Deployer::new(
                started.clone(),
                loader.clone(),
                of_workers.clone(),
                shared.awaited.clone(),
                plugins.clone(),
                shared.metrics.clone(),
                host.config.plugins.probation,
            );
            let stop = stop.clone();
            let watch = move || Watch::new(plugin, deployer, requests).run(&stop);
            std::thread::Builder::new().name("deploy".into()).spawn(watch)?;
        }
        Ok(host)
    }

    #[allow(clippy::too_many_arguments)]
    fn start_worker(
        &mut self,
        index: usize,
        commands: Receiver<Command>,
        engine: &Engine,
        plans: &Arc<[Arc<Plan>]>,
        topics: &Arc<Topics>,
        stores: &Arc<Stores>,
        versions: Versions,
        over: Sender<(usize, Result<(), WorkerError>)>,
    ) -> Result<(), HostError> {
        let mut sources: Vec<_> = plans.iter().map(|plan| &plan.source).collect();
        sources.sort_unstable();
        sources.dedup();
        let partitions = sources.iter().filter_map(|source| topics.get(source)).map(|topic| topic.partitions as usize);
        let settings = kafka::member_config(&self.config, index, partitions.sum());
        let member = Member::new(&settings).map_err(BrokerError::Client)?;
        let sending = kafka::sender_config(&self.config, index, topics);
        let sender = kafka::new_sender(&sending).map_err(BrokerError::Client)?;
        let exactly_once = self.config.delivery.guarantee == Guarantee::ExactlyOnce;
        let committer = Committer::new(self.config.delivery.commit_interval, sending, Watchdog::start(index)?);
        let mut worker = Worker::new(worker::Parts {
            index,
            member,
            sender,
            commands,
            plans: plans.clone(),
            versions,
            context: Context {
                engine: engine.clone(),
                topics: topics.clone(),
                worker: format!("{}/{index}", self.config.host.id).into(),
                exactly_once,
            },
            shared: self.shared.clone(),
            stores: stores.clone(),
            committer,
        })?;
        let run = move || {
            let result = std::panic::catch_unwind(AssertUnwindSafe(|| worker.run()));
            // Told before the worker is dropped: leaving the group may take a while.
            // Nobody listens any more when the host has given up waiting.
            drop(over.send((index, result.unwrap_or(Err(WorkerError::Panicked)))));
        };
        let thread = std::thread::Builder::new().name(format!("worker-{index}")).stack_size(WORKER_STACK).spawn(run)?;
        self.threads.push(thread);
        Ok(())
    }

    /// Tasks as their workers last showed them.
    pub fn views(&self) -> &Views {
        &self.shared.views
    }

    pub fn plugins(&self) -> &PluginStatuses {
        &self.plugins
    }

    /// Where the admin server listens.
    pub fn admin(&self) -> Option<SocketAddr> {
        self.admin
    }

    /// Where a bounded run will end, by partition.
    pub fn bounds(&self) -> Option<&HashMap<TopicPartition, i64>> {
        self.shared.bounds.as_ref()
    }

    /// Waits until `stop` says something, a bounded run is done, or a worker ends.
    ///
    /// # Errors
    /// When a worker could not go on, or partitions keep a bounded run from its end.
    pub fn wait(&self, stop: &Receiver<()>) -> Result<End, HostError> {
        let mut bounded = match (&self.shared.bounds, &self.probe) {
            (Some(bounds), Some(probe)) => Some(BoundedRun::new(bounds, probe, &self.shared)),
            _ => None,
        };
        loop {
            crossbeam_channel::select! {
                recv(stop) -> _ => return Ok(End::Asked),
                recv(self.ended) -> ended => match ended {
                    Ok((worker, Err(error))) => return Err(HostError::Worker { worker, error }),
                    Ok((_, Ok(()))) | Err(_) => return Ok(End::Asked),
                },
                default(BOUNDED_LOOK) => if let Some(run) = &mut bounded
                    && run.has_ended()?
                {
                    return Ok(End::Bounded);
                }
            }
        }
    }

    /// Lets every worker finish its record, commit and leave the group.
    ///
    /// # Errors
    /// When a worker ended badly, or not within `host.shutdown-timeout`; the
    /// process is to exit then, whatever still runs.
    pub fn stop(mut self) -> Result<(), HostError> {
        let timeout = self.config.host.shutdown_timeout;
        let deadline = Instant::now() + timeout;
        self.settle(timeout / 2);
        for worker in &self.workers {
            // A worker that has ended already takes no commands.
            drop(worker.send(Command::Stop));
        }
        let mut outcome = Ok(());
        for thread in self.threads.drain(..) {
            while !thread.is_finished() && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(2));
            }
            if !thread.is_finished() {
                return Err(HostError::ShutdownTimeout(timeout));
            }
        }
        while let Ok((worker, result)) = self.ended.try_recv() {
            outcome = outcome.and(result.map_err(|error| HostError::Worker { worker, error }));
        }
        outcome
    }
}

impl Host {
    /// Lets a rebalance under way come to its end, records still flowing. A
    /// member that leaves in the midst of joining is forgotten by the client
    /// library: its request to leave waits behind the one to join, longer than
    /// the close, and its partitions stand still until the session times out.
    fn settle(&self, patience: Duration) {
        let deadline = Instant::now() + patience.min(SETTLE);
        // What was said before may be older than the rebalance.
        self.shared.health.unsettle();
        let all_run = || !self.threads.iter().any(JoinHandle::is_finished);
        while !self.shared.health.settled() && all_run() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

fn code_folder(config: &Config, data: &OwnedFolder, engine: &Engine, apart: bool) -> Result<CodeFolder, HostError> {
    let bounds = Bounds { time: config.plugins.compile_timeout, memory: config.plugins.compile_memory };
    CodeFolder::open(data, engine.clone(), Compiler { apart, bounds })
        .map_err(|problem| DataDirError::Unusable { path: data.path().to_owned(), problem }.into())
}

fn start_admin(
    config: &Config,
    runtime: &Runtime,
    shared: &Shared,
    copies: Copies,
    plugins: &PluginStatuses,
    workers: Vec<Sender<Command>>,
    deploys: DeployAccess,
) -> Result<Option<SocketAddr>, HostError> {
    let Some(address) = config.host.admin else { return Ok(None) };
    let stages = config
        .pipelines
        .iter()
        .flat_map(|pipeline| pipeline.stages.iter().map(|stage| (pipeline.name.clone(), stage.name.clone())));
    let status = Arc::new(Status {
        app: config.app.clone(),
        host: config.host.id.clone(),
        version: env!("CARGO_PKG_VERSION"),
        started: SystemTime::now(),
        views: shared.views.clone(),
        copies,
        metrics: shared.metrics.clone(),
        health: shared.health.clone(),
        plugins: plugins.clone(),
        state: StateAccess { stages: stages.collect(), workers },
        deploys,
    });
    let (bound, serve) = runtime
        .block_on(Admin::bind(address, config.host.admin_token.clone(), config.host.admin_hosts.clone(), status))
        .map_err(|problem| HostError::Admin { address: address.to_string(), problem })?;
    runtime.spawn(serve);
    tracing::info!(address = %bound, "admin server");
    Ok(Some(bound))
}

/// The end of every source partition, now: the last stable offset, as the
/// members read committed records only.
fn ends(config: &Config, plans: &[Arc<Plan>], topics: &Topics) -> Result<HashMap<TopicPartition, i64>, HostError> {
    let client: BaseConsumer =
        kafka::base_config(config).set("isolation.level", "read_committed").create().map_err(BrokerError::Client)?;
    let mut ends = HashMap::new();
    for plan in plans {
        let partitions = topics.get(&plan.source).map_or(0, |topic| topic.partitions);
        for partition in 0..partitions {
            let id = TopicPartition::new(plan.source.clone(), partition);
            let (_, end) =
                client.fetch_watermarks(&id.topic, partition, config.host.start_timeout).map_err(|error| {
                    BrokerError::Unreachable {
                        servers: config.kafka.bootstrap_servers().to_owned(),
                        waited: config.host.start_timeout,
                        reason: error.to_string(),
                    }
                })?;
            ends.insert(id, end);
        }
    }
    Ok(ends)
}
