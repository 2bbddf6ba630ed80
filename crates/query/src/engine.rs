//! The engine of the server: what all sessions share.

use crate::arithmetic::CheckedArithmetic;
use crate::build_sides::HoldTheFew;
use crate::builtin::{ArrayTextPlanner, JsonPlanner};
use crate::cooperative::YieldAboveJoins;
use crate::datetime::{IntervalPlanner, TextCasts};
use crate::joins::OneProbe;
use crate::late_reads::LateReads;
use crate::notify::Notifier;
use crate::partiql::SuperPlanner;
use crate::pass::{Pass, Passes};
use crate::scope::{SEARCH_PATH, Scope};
use crate::semi_joins::SemiJoinsFirst;
use crate::service::{Service, SystemTable, SystemView};
use crate::session::Session;
use crate::sessions::Sessions;
use crate::spread::Spread;
use datafusion::execution::FunctionRegistry;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::prelude::SessionConfig;
use std::sync::atomic::{AtomicI32, AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};
use tidegate_catalog::{Catalog, Oid, Scram, State, User, Verifier};
use tidegate_core::{Clock, Error, Kind, Result, Rng, Settings};
use tidegate_storage::Stores;

/// The one database of a server.
pub const DATABASE: &str = "dev";

/// Groups for each row from which on grouping before rows are dealt out to tasks is given up.
const GROUPS_MAX: f64 = 0.3;

/// Shared by all sessions; clones are handles on the same engine.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

struct Inner {
    settings: Settings,
    clock: Clock,
    rng: Rng,
    catalog: Catalog,
    stores: Arc<Stores>,
    objects_url: String,
    services: OnceLock<Vec<Arc<dyn Service>>>,
    system_tables: OnceLock<Vec<SystemTable>>,
    system_views: OnceLock<Vec<SystemView>>,
    system_names: OnceLock<Arc<[(&'static str, &'static str)]>>,
    base: SessionState,
    spread: Option<Arc<dyn Spread>>,
    next_pid: AtomicI32,
    next_statement: AtomicI64,
    passes: Passes,
    sessions: Sessions,
    notifier: Notifier,
}

impl Engine {
    /// An engine over a catalog. It performs what the services offer that are [plugged in](Engine::plug).
    pub fn new(
        settings: Settings,
        rng: Rng,
        catalog: Catalog,
        stores: Arc<Stores>,
        objects_url: String,
        runtime: Arc<RuntimeEnv>,
        spread: Option<Arc<dyn Spread>>,
    ) -> Result<Self> {
        let mut config =
            SessionConfig::new().with_information_schema(false).with_default_catalog_and_schema(DATABASE, SEARCH_PATH);
        config.options_mut().execution.skip_partial_aggregation_probe_ratio_threshold = GROUPS_MAX;
        let mut builder = SessionStateBuilder::new()
            .with_config(config)
            .with_runtime_env(Arc::clone(&runtime))
            // Before the engine's own, which would take paths for fields of structs.
            .with_expr_planners(vec![
                Arc::new(SuperPlanner),
                Arc::new(JsonPlanner),
                Arc::new(IntervalPlanner),
                Arc::new(ArrayTextPlanner),
            ])
            .with_default_features()
            .with_analyzer_rule(Arc::new(TextCasts))
            .with_analyzer_rule(Arc::new(CheckedArithmetic))
            .with_optimizer_rule(Arc::new(SemiJoinsFirst))
            .with_physical_optimizer_rules(physical_rules())
            .with_physical_optimizer_rule(Arc::new(LateReads))
            .with_physical_optimizer_rule(Arc::new(OneProbe))
            .with_physical_optimizer_rule(Arc::new(YieldAboveJoins));
        if let Some(spread) = &spread {
            builder = spread.prepare(builder, &runtime)?;
        }
        let base = with_functions(builder.build())?;
        let (next_pid, next_statement) = (AtomicI32::new(1), AtomicI64::new(1));
        let (services, system_tables) = (OnceLock::new(), OnceLock::new());
        let (system_views, system_names) = (OnceLock::new(), OnceLock::new());
        let clock = catalog.clock().clone();
        Ok(Engine(Arc::new(Inner {
            settings,
            clock,
            rng,
            catalog,
            stores,
            objects_url,
            services,
            system_tables,
            system_views,
            system_names,
            base,
            spread,
            next_pid,
            next_statement,
            passes: Passes::default(),
            sessions: Sessions::default(),
            notifier: Notifier::default(),
        })))
    }

    /// Gives it the services, once, before it is asked anything.
    pub fn plug(&self, services: Vec<Arc<dyn Service>>) {
        let tables = services.iter().flat_map(|service| service.system_tables()).collect();
        let views = services.iter().flat_map(|service| service.system_views()).copied().collect();
        // A second call would be a fault of the start, and changes nothing.
        drop((self.0.services.set(services), self.0.system_tables.set(tables), self.0.system_views.set(views)));
    }

    /// The services, in the order in which they are asked.
    pub fn services(&self) -> &[Arc<dyn Service>] {
        self.0.services.get().map_or(&[], Vec::as_slice)
    }

    /// The tables of the system.
    pub fn system_tables(&self) -> &[SystemTable] {
        self.0.system_tables.get().map_or(&[], Vec::as_slice)
    }

    /// The names of the system's tables: schema and name.
    pub(crate) fn system_names(&self) -> Arc<[(&'static str, &'static str)]> {
        let names = || self.system_tables().iter().map(|table| (table.namespace, table.name)).collect();
        Arc::clone(self.0.system_names.get_or_init(names))
    }

    /// The views of the system.
    pub fn system_views(&self) -> &[SystemView] {
        self.0.system_views.get().map_or(&[], Vec::as_slice)
    }

    /// A number for a statement that the history tells of.
    pub fn next_statement(&self) -> i64 {
        self.0.next_statement.fetch_add(1, Ordering::Relaxed)
    }

    /// Lets these numbers go on after one that is given.
    pub(crate) fn statements_after(&self, last: i64) {
        self.0.next_statement.fetch_max(last.saturating_add(1), Ordering::Relaxed);
    }

    /// What the server knows.
    pub fn catalog(&self) -> &Catalog {
        &self.0.catalog
    }

    /// Where objects lie.
    pub fn stores(&self) -> &Arc<Stores> {
        &self.0.stores
    }

    /// URL of the folder of managed tables and stream segments; without a slash at its end.
    pub fn objects_url(&self) -> &str {
        &self.0.objects_url
    }

    /// What the server's own work sees: schema `public`, as `admin`.
    pub fn system_scope(&self, state: Arc<State>) -> Scope {
        Scope {
            engine: self.clone(),
            state,
            search_path: vec!["public".to_string()],
            user: "admin".to_string(),
            session_user: "admin".to_string(),
            acting: None,
            pid: 0,
            timezone: "UTC".to_string(),
            partitions: 0,
            memory_limit: 0,
            settings: Arc::default(),
            system_columns: false,
            consumed: None,
            stand_in: None,
            bound: None,
            places_of: None,
            spans: Arc::default(),
            returned: None,
            guarding: Arc::default(),
            task_bytes: None,
            depth: 0,
            history: false,
            last: Arc::default(),
            outbox: Arc::default(),
            live: None,
        }
    }

    /// The same with the rights of a user: of who made what works by itself.
    pub fn scope_of(&self, state: Arc<State>, owner: Oid) -> Scope {
        Scope { acting: Some(owner), ..self.system_scope(state) }
    }

    /// What queries of all sessions share: memory, spill files, caches.
    pub fn runtime(&self) -> &Arc<RuntimeEnv> {
        self.0.base.runtime_env()
    }

    /// The server-wide settings.
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// The sessions that are open.
    pub fn sessions(&self) -> &Sessions {
        &self.0.sessions
    }

    /// Sends messages to the sessions that listen.
    pub fn notifier(&self) -> &Notifier {
        &self.0.notifier
    }

    /// The clock that all parts share.
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// The randomness that all parts share.
    pub fn rng(&self) -> &Rng {
        &self.0.rng
    }

    /// The state that each statement's own is cloned from.
    pub(crate) fn base(&self) -> &SessionState {
        &self.0.base
    }

    /// What spreads queries over nodes, if there are others now.
    pub fn spread(&self) -> Option<&Arc<dyn Spread>> {
        self.0.spread.as_ref().filter(|spread| spread.is_on())
    }

    /// A login with the rights of a user, for what the server starts itself.
    pub fn lend(&self, user: &str) -> Pass {
        self.0.passes.lend(user, &self.0.rng)
    }

    /// What is kept of what a user must prove to know: its own password, or for `admin` that in
    /// `TIDEGATE_ADMIN_PASSWORD_FILE`. None: no password will do.
    pub fn verifier_of(&self, user: &str) -> Option<Verifier> {
        let kept = |text: &str| Verifier::parse(text).unwrap_or_else(|| Verifier::Scram(Scram::of(text, self.salt())));
        if let Some((_, password)) = self.0.passes.find(user) {
            return Some(kept(&password));
        }
        let state = self.0.catalog.state();
        let user = state.named::<User>(user)?;
        if user.password.is_some() || user.name != "admin" {
            let ended = user.valid_until_us.is_some_and(|until| until <= self.0.clock.now_us());
            return user.password.as_deref().filter(|text| !text.is_empty() && !ended).map(kept);
        }
        let path = std::env::var("TIDEGATE_ADMIN_PASSWORD_FILE").ok()?;
        let text = std::fs::read_to_string(path).ok()?;
        Some(text.trim_end()).filter(|text| !text.is_empty()).map(kept)
    }

    /// What is hashed in with a new password.
    pub fn salt(&self) -> Vec<u8> {
        [self.0.rng.next_u64().to_be_bytes(), self.0.rng.next_u64().to_be_bytes()].concat()
    }

    /// A session for a client that has proved who it is. 3D000 for a database that is not there.
    pub fn open_session(&self, user: &str, database: &str, startup: Vec<(String, String)>) -> Result<Session> {
        if database != DATABASE {
            return Err(Error::new(Kind::UndefinedDatabase, format!("database \"{database}\" does not exist"))
                .hint(format!("This server has one database: {DATABASE}.")));
        }
        let state = self.0.catalog.state();
        if state.named::<User>(user).is_some_and(|user| !user.login) {
            let message = format!("role \"{user}\" is not permitted to log in");
            return Err(Error::new(Kind::InvalidAuthorization, message));
        }
        if let Some(most) = state.named::<User>(user).and_then(|user| user.connections_max)
            && self.0.sessions.count_of(user) >= most as usize
        {
            return Err(Error::new(Kind::TooManyConnections, format!("too many connections for role \"{user}\"")));
        }
        let pid = self.0.next_pid.fetch_add(1, Ordering::Relaxed);
        let lent = self.0.passes.find(user).map(|(user, _)| user);
        Session::open(self.clone(), pid, lent.as_deref().unwrap_or(user), startup)
    }
}

/// The engine's own rules for physical plans, and ours that has its place among them.
fn physical_rules() -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    let mut rules = PhysicalOptimizer::new().rules;
    let chosen = rules.iter().position(|rule| rule.name() == "join_selection").map_or(rules.len(), |at| at + 1);
    rules.insert(chosen, Arc::new(HoldTheFew));
    rules
}

/// Adds the functions that every node has beside the engine's own.
pub fn with_functions(mut state: SessionState) -> Result<SessionState> {
    let own = crate::functions::all().into_iter().chain(crate::partiql::functions());
    let casts = crate::text_cast::all().into_iter().chain(crate::timetz::all()).chain(crate::like_escape::all());
    let casts = casts.chain(crate::datetime::functions());
    let builtin = crate::builtin::all();
    for function in own.chain(casts).chain(crate::arithmetic::functions()).chain(builtin) {
        state.register_udf(function).map_err(crate::from_datafusion)?;
    }
    Ok(state)
}
