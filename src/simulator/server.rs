//! Connections: accepted, served over HTTP/1.1, ended. The responses are the API's.

use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::api::Api;

/// How long responses in progress may take after the simulator is stopped.
const GRACE: Duration = Duration::from_secs(1);
/// After an accept that failed, mostly for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until `stopped` resolves; dropped, it ends every connection.
pub(super) async fn serve(listener: TcpListener, api: Arc<Api>, mut stopped: oneshot::Receiver<()>) {
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => connect(stream, &api, &graceful, &mut connections),
                Err(error) => {
                    tracing::debug!(%error, "simulator could not accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {}
            _ = &mut stopped => break,
        }
    }
    drop(listener);
    if tokio::time::timeout(GRACE, graceful.shutdown()).await.is_err() {
        tracing::debug!("simulator drops responses in progress");
    }
    connections.shutdown().await;
}

fn connect(stream: TcpStream, api: &Arc<Api>, graceful: &GracefulShutdown, connections: &mut JoinSet<()>) {
    // small responses must not wait for the acknowledgement of the previous one
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "simulator could not set TCP_NODELAY");
    }
    let api = Arc::clone(api);
    let service = service_fn(move |request| Arc::clone(&api).reply(request));
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let connection = graceful.watch(connection);
    connections.spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "simulator connection ended");
        }
    });
}
