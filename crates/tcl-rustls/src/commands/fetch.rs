//! `cert_fetch`: a look at the certificate of a server.

use std::sync::Arc;
use std::time::Duration;

use tcl_stubs::{Interp, Obj, Parent};
use tls_certs::PeerName;
use tls_session::Session;

use super::sockets::{complete, socket_command};
use super::{Body, parse_options, wrong_args};
use crate::credentials::{Credentials, configuration_failure};
use crate::failure::Failure;
use crate::handles;
use crate::open::{self, Origin};
use crate::options::{self, Common};
use crate::state::{Role, Settings};

pub(super) const COMMANDS: &[(&str, Body)] = &[("cert_fetch", cert_fetch)];

/// A handle of the certificate that the server at ADDR, PORT shows; nobody judges it. ADDR is asked for as SNI where it is
/// a host name. The connection ends as soon as the server has proved that the certificate is its own. `-handshaketimeout`
/// is in milliseconds; 0, the default, waits for ever.
fn cert_fetch(interp: &Interp<'_>, words: &[Obj]) -> Result<Obj, Failure> {
    let [address, port, options @ ..] = words else {
        return Err(wrong_args("cert_fetch addr port ?-handshaketimeout ms?"));
    };
    let [limit] = parse_options(options, ["-handshaketimeout"])?;
    let limit = limit.map(|limit| options::milliseconds("-handshaketimeout", &limit.to_text())).transpose()?;
    let name = PeerName::parse(&address.to_text())?;
    let config = Credentials::anonymous().client_config(true)?;
    let session = Session::client(&config, &name).map_err(configuration_failure)?;
    let socket = interp.call_prefix(&socket_command(interp), [address.clone(), port.clone()])?;
    let parent = Parent::adopt(interp, &socket.to_text())?;
    let common = Common {
        settings: Settings { credentials: None, verifier: None },
        alpn: Vec::new(),
        limit: limit.filter(|&limit| limit > 0).map(Duration::from_millis),
    };
    let chan = open::channel(interp, parent, session, Role::Client, &common, Origin::Socket)?;
    let context = chan.driver().with(|state| Arc::clone(&state.context))?;
    // A verdict is needed and there is no verifier: so the handshake is refused where the certificate is known, and
    // nothing that is made from there on leaves.
    match complete(interp, &chan) {
        Err(Failure::VerifierRefused) => Ok(Obj::text(&handles::hold(context.peer_certificate()?))),
        Err(failure) => Err(failure),
        Ok(()) => Err(Failure::NoCertificate("The peer has sent no certificate.")),
    }
}
