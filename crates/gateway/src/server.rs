//! The accept loop: one task for each client, a maximum of them, and an orderly end.

use crate::arrivals::{Arrivals, Arriving};
use crate::cancel::Registry;
use crate::connection::Ending;
use crate::failures::Failures;
use crate::startup::{self, Door};
use crate::tls::Tls;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use tidegate_core::{Error, Kind, Result, Rng};
use tidegate_query::Engine;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

/// A client that has not logged in by then is let go.
const STARTUP_SECONDS_MAX: u64 = 60;
/// Running statements have this long to end once the server is told to: less than the ten seconds after which
/// container engines kill.
const DRAIN_SECONDS_MAX: u64 = 6;
/// After that, their connections have this long to say so.
const KILL_SECONDS_MAX: u64 = 2;
/// How long a client waits for the place of one that has been dismissed, and how many are for its sake.
const ROOM_WAIT_MS: u64 = 200;
const ROOM_TRIES_MAX: usize = 20;
/// How long to wait after the system refuses a socket, most often for want of file descriptors.
const ACCEPT_PAUSE_MS: u64 = 50;
/// Connections above the maximum that are being told so at one time; beyond it they are just closed.
const REFUSALS_MAX: usize = 64;

/// Serves clients of the SQL port until `shutdown`, then drains: idle connections end at once, running statements get
/// some seconds.
pub async fn serve(listener: TcpListener, engine: Engine, tls: Option<Tls>, shutdown: CancellationToken) -> Result<()> {
    let max = usize::try_from(engine.settings().whole("max_connections")).unwrap_or(0).max(1);
    let places = Arc::new(Semaphore::new(max));
    let refusals = Arc::new(Semaphore::new(REFUSALS_MAX));
    let ending = Ending { drain: shutdown.clone(), kill: CancellationToken::new() };
    let settings = engine.settings();
    let most = u32::try_from(settings.whole("login_failures_max")).unwrap_or(0);
    let failures = Arc::new(Mutex::new(Failures::new(most, settings.whole("login_failures_window_ms"))));
    let rng = Rng::system();
    let secret = Arc::from(rng.uuid().into_bytes());
    let arrivals = Arrivals::default();
    let door = Door { engine, tls, registry: Registry::default(), rng, secret, failures, ending: ending.clone() };
    // Each client's task holds a sender; when the last has gone, receiving ends.
    let (client, mut clients) = mpsc::channel::<()>(1);
    let hall = Hall { places, refusals, arrivals, client };
    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((socket, _)) => hall.admit(socket, &door),
            Err(error) => {
                tracing::warn!(%error, "the SQL port could not accept a connection");
                tokio::time::sleep(Duration::from_millis(ACCEPT_PAUSE_MS)).await;
            }
        }
    }
    drop(listener);
    drop(hall);
    if tokio::time::timeout(Duration::from_secs(DRAIN_SECONDS_MAX), clients.recv()).await.is_err() {
        ending.kill.cancel();
        let _those_left_end_with_the_process =
            tokio::time::timeout(Duration::from_secs(KILL_SECONDS_MAX), clients.recv()).await;
    }
    Ok(())
}

/// Where clients come in.
struct Hall {
    places: Arc<Semaphore>,
    refusals: Arc<Semaphore>,
    arrivals: Arrivals,
    client: mpsc::Sender<()>,
}

impl Hall {
    /// Gives a client a place; where there is none left, that of the client which has been logging in for longest, as
    /// one who never ends would otherwise keep it.
    fn admit(&self, socket: TcpStream, door: &Door) {
        let _without_it_small_answers_wait = socket.set_nodelay(true);
        let (door, client) = (door.clone(), self.client.clone());
        if let Ok(place) = self.places.clone().try_acquire_owned() {
            let arriving = self.arrivals.enter();
            tokio::spawn(async move {
                let (_place, _client) = (place, client);
                converse(socket, &door, arriving).await;
            });
            return;
        }
        let Ok(turn) = self.refusals.clone().try_acquire_owned() else { return };
        let (places, arrivals) = (self.places.clone(), self.arrivals.clone());
        tokio::spawn(async move {
            let (turn, _client) = (turn, client);
            match room(&places, &arrivals).await {
                Some(place) => {
                    drop(turn);
                    converse(socket, &door, arrivals.enter()).await;
                    drop(place);
                }
                None => turn_away(socket).await,
            }
        });
    }
}

/// The place of a client that is told to go. Another one, who came meanwhile, may be quicker to take it: then one more goes.
async fn room(places: &Arc<Semaphore>, arrivals: &Arrivals) -> Option<OwnedSemaphorePermit> {
    for _ in 0..ROOM_TRIES_MAX {
        if !arrivals.dismiss_oldest() {
            return None;
        }
        let place = tokio::time::timeout(Duration::from_millis(ROOM_WAIT_MS), places.clone().acquire_owned()).await;
        if let Ok(Ok(place)) = place {
            return Some(place);
        }
    }
    None
}

async fn converse(socket: TcpStream, door: &Door, arriving: Arriving) {
    let limit = Duration::from_secs(STARTUP_SECONDS_MAX);
    let connection = tokio::select! {
        connection = tokio::time::timeout(limit, startup::welcome(socket, door)) => connection,
        () = arriving.dismissed() => return,
        () = door.ending.kill.cancelled() => return,
    };
    drop(arriving);
    if let Ok(Some(connection)) = connection {
        connection.run().await;
    }
}

/// Postgres' code for this is 53300, which drivers' pools know.
async fn turn_away(mut socket: TcpStream) {
    let error = Error::new(Kind::LimitExceeded, "sorry, too many clients already")
        .hint("Close connections that are not needed, or start with a larger max_connections.");
    let refusal = startup::refuse(&mut socket, "53300", &error);
    let _closed_either_way = tokio::time::timeout(Duration::from_secs(crate::FAREWELL_SECONDS_MAX), refusal).await;
}
