//! The local cloud behind a loopback socket, for boto3, the AWS CLI, Terraform and Lambda code.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use http::Response;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::flow::Flow;
use super::{Cloud, Fault, OpenError, Settings, envelope, router, trouble};

/// Larger than any request that AWS takes in one piece (Lambda code: 50 MB, as base64).
const BODY_LIMIT: usize = 100 << 20;

/// A running listener.
pub(crate) struct Listener {
    cloud: Cloud,
    address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<io::Result<()>>,
    flow: Option<Flow>,
}

impl Listener {
    /// Returns the URL that clients take as endpoint.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the cloud behind the socket.
    pub(crate) fn cloud(&self) -> &Cloud {
        &self.cloud
    }

    /// Waits until the listener ends by itself, which it does only on an error of the socket.
    pub(crate) async fn ended(&mut self) -> io::Result<()> {
        (&mut self.task).await.map_err(io::Error::other)?
    }

    /// Lets records move by themselves.
    pub(crate) fn start_flow(&mut self) {
        self.flow.get_or_insert_with(|| Flow::start(self.cloud.clone(), format!("http://{}", self.address)));
    }

    /// Waits until every record that is there now has arrived where it goes; false when things have failed for a
    /// time and nothing has arrived meanwhile.
    pub(crate) async fn drained(&self, patience: Duration) -> bool {
        match &self.flow {
            Some(flow) => flow.drained_or_stalled(patience).await,
            None => true,
        }
    }

    /// Finishes the records and requests in flight and gives the state back.
    pub(crate) async fn stop(self) -> io::Result<()> {
        if let Some(flow) = self.flow {
            flow.stop().await;
        }
        self.cloud.functions().close();
        self.stop.cancel();
        let served = self.task.await.map_err(io::Error::other)?;
        self.cloud.withdraw().and(served)
    }
}

/// Opens the cloud in `dir` and serves it on `address`; port 0 takes a free one.
pub(crate) async fn serve(dir: &Path, address: SocketAddr, settings: Settings) -> Result<Listener, OpenError> {
    let cloud = Cloud::open(dir, settings)?;
    let mut listener = listen(cloud, address).await.map_err(|source| OpenError::Bind { address, source })?;
    listener.start_flow();
    let announced = listener.cloud.announce(&listener.url());
    announced.map_err(|source| OpenError::Folder { dir: dir.to_owned(), source })?;
    Ok(listener)
}

/// Serves a cloud that is already open.
pub(crate) async fn listen(cloud: Cloud, address: SocketAddr) -> io::Result<Listener> {
    let socket = TcpListener::bind(address).await?;
    let address = socket.local_addr()?;
    cloud.reached_at(format!("http://{address}"));
    let stop = CancellationToken::new();
    let app = Router::new().fallback(answer).with_state(cloud.clone());
    let server = axum::serve(socket, app).with_graceful_shutdown(stop.clone().cancelled_owned());
    Ok(Listener { cloud, address, stop, task: tokio::spawn(server.into_future()), flow: None })
}

async fn answer(State(cloud): State<Cloud>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let response = if let Ok(body) = to_bytes(body, BODY_LIMIT).await {
        // A call that has arrived is carried out whole, even if its caller dies while it waits for the answer.
        let call = tokio::spawn(async move { cloud.handle(Request::from_parts(parts, body)).await });
        call.await.unwrap_or_else(|_| {
            let fault = Fault::with_status(500, "InternalFailure", "the local cloud broke off this request");
            envelope::respond(&router::Form::Json("application/x-amz-json-1.1"), Err(fault))
        })
    } else {
        let fault = Fault::with_status(413, "RequestEntityTooLarge", "the request body is cut off or over 100 MB");
        envelope::respond(&router::Form::Json("application/x-amz-json-1.1"), Err(fault))
    };
    if trouble::is_cut(&response) {
        // A body that fails before a byte of it is there ends the connection without an answer.
        let lost = futures::stream::once(async { Err::<Bytes, _>(io::Error::from(io::ErrorKind::ConnectionReset)) });
        return Response::new(Body::from_stream(lost));
    }
    response.map(Body::from)
}
