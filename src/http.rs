//! How this program is an HTTP client, whoever the server is.

use std::error::Error;

use reqwest::{Client, ClientBuilder, Url, redirect};

use crate::errors::chain;

/// A client for one URL, to be built. It does not follow redirects, because headers and bodies hold secrets, and reaches
/// loopback without a proxy. Plain HTTP needs no certificates.
pub fn client(url: &Url) -> ClientBuilder {
    let client = if url.scheme() == "http" { plain_client() } else { builder() };
    if is_loopback(url) { client.no_proxy() } else { client }
}

/// A client for plain HTTP, to be built.
pub(crate) fn plain_client() -> ClientBuilder {
    builder().tls_certs_only([])
}

fn builder() -> ClientBuilder {
    use_ring();
    Client::builder().redirect(redirect::Policy::none()).user_agent(concat!("cookiepay-etl/", env!("CARGO_PKG_VERSION")))
}

/// Makes ring the cryptography of all TLS connections of this process; to be called before a client is built, and more
/// than once without harm.
pub(crate) fn use_ring() {
    // an error means that it is done already
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Whether a client could not be built because the machine has no certificates.
pub(crate) fn lacks_certificates(error: &(dyn Error + 'static)) -> bool {
    chain(error).contains("No CA certificates")
}

/// An error of the HTTP stack and its causes in one line, with what to do if the stack's own words do not state it.
pub(crate) fn explained(error: &(dyn Error + 'static)) -> String {
    let line = chain(error);
    match hint(&line) {
        Some(hint) => format!("{line}: {hint}"),
        None => line,
    }
}

const NO_TLS: &str = "the server does not speak TLS there: check the port, and whether the URL should begin with http://";

/// What to do about an error of the HTTP stack.
pub(crate) fn hint(line: &str) -> Option<&'static str> {
    let hints = [
        (
            "No CA certificates",
            "this machine has no CA certificates: install the package ca-certificates, or set SSL_CERT_FILE to a file of them",
        ),
        ("tls handshake eof", NO_TLS),
        ("InvalidContentType", NO_TLS),
        (
            "UnknownIssuer",
            "its certificate is not signed by a CA of this machine: if a proxy or a private CA signed it, set SSL_CERT_FILE to a file that includes that CA",
        ),
        ("dns error", "check the host's name, and this machine's DNS or proxy settings"),
    ];
    hints.into_iter().find(|(text, _)| line.contains(text)).map(|(_, hint)| hint)
}

/// Whether a URL's host is certainly this machine.
#[must_use]
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        None => false,
    }
}
