//! The connection: everything that can happen, in one loop.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message as Frame, WebSocket};
use futures_util::future::BoxFuture;
use juniper::OperationType;
use koherent_core::ErrorCode;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, Id, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until, timeout};

use super::message::{Closing, Message, PROTOCOL, Said};
use super::operation::{NO_TASK, NO_TOKEN, run};
use super::schema::{Asked, SocketSchema};
use super::service::{Operation, SocketService};
use super::settings::{Mutations, SocketSettings};
use crate::error::Error;
use crate::limits::{Limits, exceeded};

/// How long a client may take to take a message.
const TAKEN_WITHIN: Duration = Duration::from_secs(10);

/// How long it may take to see whether a login holds: meanwhile nobody is listened to.
const CHECKED_WITHIN: Duration = Duration::from_secs(1);

/// How often it is asked at most whether a client is there.
const SHORTEST_KEEP_ALIVE: Duration = Duration::from_millis(10);

/// How many answers wait for a client that is slow, before operations wait.
const WAITING: usize = 32;

/// Serves a connection to its end.
pub(super) async fn serve<T, V>(
    mut socket: WebSocket,
    schema: Arc<T>,
    service: V,
    settings: SocketSettings,
    limits: Limits,
) where
    T: SocketSchema,
    V: SocketService<Context = T::Context>,
{
    let closing = if socket
        .protocol()
        .is_none_or(|protocol| protocol != PROTOCOL)
    {
        Some(Closing::NO_PROTOCOL)
    } else {
        let (answers, answered) = mpsc::channel(WAITING);
        let mut connection = Connection {
            schema,
            service,
            settings,
            limits,
            session: None,
            active: HashMap::new(),
            operations: JoinSet::new(),
            answers,
            is_ending: false,
        };
        connection.talk(&mut socket, answered).await
    };
    if let Some(Closing { code, reason }) = closing {
        tracing::debug!(code, reason, "websocket closed");
        let frame = CloseFrame {
            code,
            reason: reason.into(),
        };
        let _ = timeout(TAKEN_WITHIN, socket.send(Frame::Close(Some(frame)))).await;
    }
}

struct Connection<T, V: SocketService> {
    schema: Arc<T>,
    service: V,
    settings: SocketSettings,
    limits: Limits,
    session: Option<Arc<V::Session>>,
    /// The operations that the client listens to, by its ids.
    active: HashMap<String, Active>,
    /// All that are under way. They end with the connection.
    operations: JoinSet<()>,
    answers: mpsc::Sender<Answer>,
    /// Whether the service ends.
    is_ending: bool,
}

/// An operation that the client listens to.
struct Active {
    handle: AbortHandle,
    kind: OperationType,
}

/// What an operation says.
struct Answer {
    id: String,
    /// Which operation: clients may use an id again.
    task: Id,
    message: Message,
}

impl<T, V> Connection<T, V>
where
    T: SocketSchema,
    V: SocketService<Context = T::Context>,
{
    /// Talks until somebody closes; says why, where it is us.
    async fn talk(
        &mut self,
        socket: &mut WebSocket,
        mut answered: mpsc::Receiver<Answer>,
    ) -> Option<Closing> {
        let begun = Instant::now();
        let sign_in_until = begun + self.settings.sign_in_within;
        let keep_alive = self.settings.keep_alive.max(SHORTEST_KEEP_ALIVE);
        let mut ticks = interval_at(begun + keep_alive, keep_alive);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut heard = begun;
        let service = self.service.clone();
        let mut ending = pin!(service.ending());
        loop {
            if self.is_ending && self.active.is_empty() {
                return Some(Closing::ENDING);
            }
            tokio::select! {
                () = &mut ending, if !self.is_ending => {
                    self.is_ending = true;
                    self.end_subscriptions();
                }
                incoming = socket.recv() => {
                    heard = Instant::now();
                    let text = match incoming? {
                        Ok(Frame::Text(text)) => text,
                        Ok(Frame::Ping(_) | Frame::Pong(_)) => continue,
                        Ok(Frame::Binary(_)) => return Some(Closing::BAD_MESSAGE),
                        Ok(Frame::Close(_)) => return None,
                        Err(error) => {
                            // The library has no other word for it that can be reached from here.
                            let is_too_long = error.to_string().contains("too long");
                            return is_too_long.then_some(Closing::TOO_LONG);
                        }
                    };
                    let Ok(said) = serde_json::from_str(&text) else {
                        return Some(Closing::BAD_MESSAGE);
                    };
                    match self.hear(said).await {
                        Ok(None) => {}
                        Ok(Some(message)) => say(socket, message).await?,
                        Err(closing) => return Some(closing),
                    }
                }
                answer = answered.recv() => {
                    let answer = answer?;
                    // An operation that the client has ended says nothing more.
                    let active = self.active.get(&answer.id);
                    let is_active = active.is_some_and(|active| active.handle.id() == answer.task);
                    if is_active {
                        if answer.message.is_last {
                            self.active.remove(&answer.id);
                        }
                        say(socket, answer.message).await?;
                    }
                }
                // Operations that panicked are told from those that ended by what they have not said.
                Some(ended) = self.operations.join_next() => {
                    if let Err(error) = ended && error.is_panic() {
                        tracing::error!("an operation of a websocket panicked");
                        let mut active = self.active.iter();
                        let active = active.find(|(_, active)| active.handle.id() == error.id());
                        let id = active.map(|(id, _)| id.clone());
                        if let Some(id) = id {
                            self.active.remove(&id);
                            say(socket, Message::error(&id, Error::internal())).await?;
                        }
                    }
                }
                () = sleep_until(sign_in_until), if self.session.is_none() => return Some(Closing::NOT_SIGNED_IN),
                _ = ticks.tick() => {
                    if heard.elapsed() > 3 * keep_alive {
                        return Some(Closing::GONE);
                    }
                    if let Some(reason) = self.signed_out().await {
                        return Some(Closing::forbidden(reason));
                    }
                    send(socket, Frame::Ping(Default::default())).await?;
                }
            }
        }
    }

    /// Subscriptions end with the service; what else is under way is finished.
    fn end_subscriptions(&mut self) {
        self.active.retain(|_, active| {
            let is_endless = active.kind == OperationType::Subscription;
            if is_endless {
                active.handle.abort();
            }
            !is_endless
        });
    }

    /// Why the login does not hold any more. Where that cannot be found out at the moment, it holds.
    async fn signed_out(&self) -> Option<&'static str> {
        let session = self.session.as_ref()?;
        let asked = timeout(CHECKED_WITHIN, self.service.still_signed_in(session)).await;
        let error = asked.ok()?.err()?;
        (error.code() != ErrorCode::Unavailable).then(|| error.reason())
    }

    /// What to say to a message, if anything.
    async fn hear(&mut self, said: Said) -> Result<Option<Message>, Closing> {
        match said {
            Said::ConnectionInit { payload } => {
                if self.session.is_some() {
                    return Err(Closing::TWICE);
                }
                let signing_in = self.service.sign_in(payload);
                let signed_in = timeout(self.settings.sign_in_within, signing_in).await;
                match signed_in {
                    Ok(Ok(session)) => {
                        self.session = Some(Arc::new(session));
                        Ok(Some(Message::acknowledged()))
                    }
                    Ok(Err(refusal)) => Err(Closing::forbidden(refusal.0)),
                    Err(_) => Err(Closing::NOT_SIGNED_IN),
                }
            }
            Said::Ping {} => Ok(Some(Message::pong())),
            Said::Pong {} => Ok(None),
            Said::Complete { id } => {
                // A mutation is not stopped half-way: it ends unheard.
                if let Some(active) = self.active.remove(&id)
                    && active.kind == OperationType::Subscription
                {
                    active.handle.abort();
                }
                Ok(None)
            }
            Said::Subscribe { id, payload } => {
                let Some(session) = self.session.clone() else {
                    return Err(Closing::UNAUTHORIZED);
                };
                if self.active.contains_key(&id) {
                    return Err(Closing::SAME_ID);
                }
                Ok(self.start(id, payload, session).err())
            }
        }
    }

    /// Starts an operation; or says why not.
    fn start(&mut self, id: String, asked: Asked, session: Arc<V::Session>) -> Result<(), Message> {
        let refuse = |refusal| Message::error(&id, refusal);
        asked.check_types().map_err(refuse)?;
        if self.is_ending {
            return Err(refuse(ENDING));
        }
        // One that the client has ended counts until it has.
        if self.operations.len() >= self.settings.operations {
            let (is, most) = (self.operations.len() + 1, self.settings.operations);
            return Err(refuse(exceeded(
                "TOO_MANY_OPERATIONS",
                "operations",
                is,
                most,
            )));
        }
        let task_token = asked.task_token().map_err(|()| refuse(NO_TOKEN))?;
        let kind = self.schema.check(&self.limits, &asked).map_err(refuse)?;
        let needs_task = self.settings.mutations == Mutations::NeedTask;
        if kind == OperationType::Mutation && needs_task && task_token.is_none() {
            return Err(refuse(NO_TASK));
        }
        let operation = Operation::new(kind, task_token);
        let (schema, service) = (Arc::clone(&self.schema), self.service.clone());
        let (answers, running) = (self.answers.clone(), id.clone());
        let handle = self.operations.spawn(async move {
            let (said_of, task) = (running.clone(), tokio::task::id());
            let say = move |message: Message| -> BoxFuture<'static, ()> {
                let (answers, id) = (answers.clone(), said_of.clone());
                Box::pin(async move {
                    let answer = Answer { id, task, message };
                    let _ = answers.send(answer).await;
                })
            };
            run(
                &*schema, &service, &session, &running, operation, asked, &say,
            )
            .await;
        });
        self.active.insert(id, Active { handle, kind });
        Ok(())
    }
}

const ENDING: Error = Error::fixed(
    ErrorCode::Unavailable,
    "SERVICE_ENDS",
    "The service ends, and did not begin this: connect again.",
);

async fn say(socket: &mut WebSocket, message: Message) -> Option<()> {
    send(socket, Frame::text(message.text)).await
}

/// Sends a message; `None` where the client does not take it.
async fn send(socket: &mut WebSocket, message: Frame) -> Option<()> {
    timeout(TAKEN_WITHIN, socket.send(message)).await.ok()?.ok()
}
