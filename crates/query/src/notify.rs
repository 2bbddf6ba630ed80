//! LISTEN and NOTIFY: messages between sessions, and from the server's own work. As in Postgres they are sent when the
//! transaction commits that sends them, and each of one transaction once.

use parking_lot::Mutex;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use tidegate_core::{Error, Kind, Result};
use tokio::sync::mpsc;

/// Messages that wait for a session which does not take them; more are not kept for it.
const WAITING_MAX: usize = 10_000;
/// What one transaction may send, and begin or end to listen to.
const ACTIONS_MAX: usize = 100_000;
/// Channels that one session listens to.
const CHANNELS_MAX: usize = 10_000;
/// Postgres: a name of a channel is an identifier, and a payload shorter than 8000 bytes.
const CHANNEL_BYTES_MAX: usize = 63;
const PAYLOAD_BYTES_MAX: usize = 7999;

/// A message to all that listen to a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// The session that sends it; 0 is the server itself.
    pub pid: i32,
    /// Where it is sent to.
    pub channel: String,
    /// What it says.
    pub payload: String,
}

#[derive(Debug)]
struct Listener {
    channels: BTreeSet<String>,
    inbox: mpsc::Sender<Notification>,
}

/// All sessions that listen; clones are handles on the same.
#[derive(Debug, Clone, Default)]
pub struct Notifier(Arc<Mutex<HashMap<i32, Listener>>>);

impl Notifier {
    /// Sends a message.
    pub fn send(&self, notification: &Notification) {
        for (pid, listener) in self.0.lock().iter() {
            if listener.channels.contains(&notification.channel)
                && listener.inbox.try_send(notification.clone()).is_err()
            {
                tracing::warn!(pid, channel = notification.channel, "a session does not take its notifications");
            }
        }
    }

    /// Sends a message of the server's own; one that is too long for it goes without its payload.
    pub fn tell(&self, channel: &str, payload: String) {
        let payload = if payload.len() > PAYLOAD_BYTES_MAX { String::new() } else { payload };
        self.send(&Notification { pid: 0, channel: channel.to_string(), payload });
    }

    /// What a session listens to.
    pub fn channels(&self, pid: i32) -> Vec<String> {
        let listeners = self.0.lock();
        listeners.get(&pid).map(|listener| listener.channels.iter().cloned().collect()).unwrap_or_default()
    }
}

/// What a transaction is to do when it commits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// LISTEN.
    Listen(String),
    /// UNLISTEN; None is of all.
    Unlisten(Option<String>),
    /// NOTIFY: channel and payload.
    Notify(String, String),
}

/// The actions of a session's transaction, in their order.
#[derive(Debug, Default)]
pub struct Outbox(Mutex<Vec<Action>>);

impl Outbox {
    /// One more. 22023 for a name or a payload that is too long, 54000 for too many of them.
    pub fn push(&self, action: Action) -> Result<()> {
        check(&action)?;
        let mut actions = self.0.lock();
        if actions.len() >= ACTIONS_MAX {
            let message = format!("a transaction sends {ACTIONS_MAX} notifications at most");
            return Err(Error::new(Kind::ProgramLimit, message));
        }
        actions.push(action);
        Ok(())
    }

    /// How many there are: where a savepoint goes back to.
    pub fn len(&self) -> usize {
        self.0.lock().len()
    }

    /// Forgets all after so many.
    pub fn truncate(&self, len: usize) {
        self.0.lock().truncate(len);
    }
}

fn check(action: &Action) -> Result<()> {
    let wrong = |message| Err(Error::new(Kind::InvalidParameter, message));
    match action {
        Action::Unlisten(_) => Ok(()),
        Action::Listen(channel) | Action::Notify(channel, _) if channel.is_empty() => {
            wrong("channel name cannot be empty")
        }
        Action::Listen(channel) | Action::Notify(channel, _) if channel.len() > CHANNEL_BYTES_MAX => {
            wrong("channel name too long")
        }
        Action::Notify(_, payload) if payload.len() > PAYLOAD_BYTES_MAX => wrong("payload string too long"),
        Action::Listen(_) | Action::Notify(..) => Ok(()),
    }
}

/// A session's part: what its transaction is to do, and what has come for it.
pub struct Mail {
    notifier: Notifier,
    pid: i32,
    outbox: Arc<Outbox>,
    inbox: Option<mpsc::Receiver<Notification>>,
}

impl Mail {
    /// Of a session that listens to nothing.
    pub fn new(notifier: Notifier, pid: i32) -> Self {
        Mail { notifier, pid, outbox: Arc::default(), inbox: None }
    }

    /// What the transaction is to do.
    pub fn outbox(&self) -> &Arc<Outbox> {
        &self.outbox
    }

    /// Does it.
    pub fn commit(&mut self) {
        let actions = std::mem::take(&mut *self.outbox.0.lock());
        let mut sent = BTreeSet::new();
        for action in actions {
            match action {
                Action::Listen(channel) => self.listen(channel),
                Action::Unlisten(Some(channel)) => {
                    if let Some(listener) = self.notifier.0.lock().get_mut(&self.pid) {
                        listener.channels.remove(&channel);
                    }
                }
                Action::Unlisten(None) => self.leave(),
                Action::Notify(channel, payload) => {
                    if sent.insert((channel.clone(), payload.clone())) {
                        self.notifier.send(&Notification { pid: self.pid, channel, payload });
                    }
                }
            }
        }
    }

    /// Waits for a message; for ever where the session does not listen. One that is abandoned has taken nothing.
    pub async fn next(&mut self) -> Notification {
        match &mut self.inbox {
            Some(inbox) => match inbox.recv().await {
                Some(notification) => notification,
                None => std::future::pending().await,
            },
            None => std::future::pending().await,
        }
    }

    /// A message that is there already.
    pub fn waiting(&mut self) -> Option<Notification> {
        self.inbox.as_mut()?.try_recv().ok()
    }

    fn listen(&mut self, channel: String) {
        let mut listeners = self.notifier.0.lock();
        let listener = listeners.entry(self.pid).or_insert_with(|| {
            let (inbox, taken) = mpsc::channel(WAITING_MAX);
            self.inbox = Some(taken);
            Listener { channels: BTreeSet::new(), inbox }
        });
        if listener.channels.len() < CHANNELS_MAX {
            listener.channels.insert(channel);
        }
    }

    fn leave(&mut self) {
        self.notifier.0.lock().remove(&self.pid);
        self.inbox = None;
    }
}

impl Drop for Mail {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listen(channel: &str) -> Action {
        Action::Listen(channel.to_string())
    }

    fn notify(channel: &str, payload: &str) -> Action {
        Action::Notify(channel.to_string(), payload.to_string())
    }

    fn taken(mail: &mut Mail) -> Vec<(i32, String)> {
        std::iter::from_fn(|| mail.waiting()).map(|told| (told.pid, told.payload)).collect()
    }

    #[test]
    fn what_commits_is_heard_once_by_those_that_listen() {
        let notifier = Notifier::default();
        let (mut ann, mut bob) = (Mail::new(notifier.clone(), 1), Mail::new(notifier.clone(), 2));
        ann.outbox().push(listen("news")).unwrap();
        bob.outbox().push(notify("news", "too early")).unwrap();
        bob.commit();
        assert!(notifier.channels(1).is_empty(), "LISTEN holds from its commit on");
        ann.commit();
        for payload in ["a", "b", "a"] {
            bob.outbox().push(notify("news", payload)).unwrap();
        }
        bob.outbox().push(notify("other", "a")).unwrap();
        assert!(taken(&mut ann).is_empty(), "nothing is sent before the commit");
        bob.commit();
        assert_eq!(taken(&mut ann), [(2, "a".to_string()), (2, "b".to_string())]);
        assert_eq!(notifier.channels(1), ["news"]);
        bob.outbox().push(notify("news", "rolled back")).unwrap();
        bob.outbox().truncate(0);
        bob.commit();
        notifier.tell("news", "from the server".to_string());
        assert_eq!(taken(&mut ann), [(0, "from the server".to_string())]);
        ann.outbox().push(Action::Unlisten(None)).unwrap();
        ann.commit();
        notifier.tell("news", "too late".to_string());
        assert!(taken(&mut ann).is_empty() && notifier.channels(1).is_empty());
    }

    #[test]
    fn what_nobody_takes_is_not_kept_without_end() {
        let notifier = Notifier::default();
        let mut mail = Mail::new(notifier.clone(), 1);
        mail.outbox().push(listen("news")).unwrap();
        mail.commit();
        (0..WAITING_MAX + 5).for_each(|n| notifier.tell("news", n.to_string()));
        assert_eq!(taken(&mut mail).len(), WAITING_MAX);
        drop(mail);
        assert!(notifier.0.lock().is_empty());
    }

    #[test]
    fn names_and_payloads_have_their_lengths() {
        let outbox = Outbox::default();
        let long = "x".repeat(PAYLOAD_BYTES_MAX);
        outbox.push(notify("c", &long)).unwrap();
        for (action, message) in [
            (notify("c", &format!("{long}x")), "payload string too long"),
            (notify("", ""), "channel name cannot be empty"),
            (listen(&"c".repeat(64)), "channel name too long"),
        ] {
            assert_eq!(outbox.push(action).unwrap_err().message(), message);
        }
    }
}
