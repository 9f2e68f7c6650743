//! What is wrong with supplied material.

use jiff::Timestamp;

use crate::certificate::Certificate;
use crate::error::Error;
use crate::leaf::Role;
use crate::supplied::{Bundle, Fault};

/// The longest chain between a leaf and an authority.
const MAX_CHAIN: usize = 8;

/// All faults of one bundle: a key that is not the certificate's, times, usages, names, who signed it, revocation.
/// `names` are the DNS names and addresses under which the server will be dialled.
pub fn bundle(bundle: &Bundle, names: &[String], now: Timestamp) -> Vec<Fault> {
    let mut problems = Vec::new();
    let certificate = &bundle.certificate;
    if certificate.public_key_info() != bundle.key.public_key_info() {
        problems.push(Error::KeyMismatch { subject: certificate.subject().to_owned() }.to_string());
    }
    problems.extend(time(certificate, now));
    problems.extend(usage(certificate, bundle.role));
    problems.extend(
        names
            .iter()
            .filter(|name| bundle.role.is_server() && !certificate.is_for_name(name))
            .map(|name| format!("it is not for the name `{name}`: {}", alternative_names(certificate))),
    );
    if bundle.role == Role::Member && certificate.membership().is_empty() {
        problems.push(format!(
            "its subject {} has no O, OU or DC, by which members know each other",
            certificate.subject()
        ));
    }
    // A gateway's clients bring their own authorities.
    if bundle.role != Role::Gateway {
        problems.extend(chain(bundle));
    }
    let mut faults: Vec<Fault> = problems.into_iter().map(|problem| Fault::new(bundle.file, problem)).collect();
    for authority in &bundle.authorities {
        let not_signing = || Error::NoAuthority { subject: authority.subject().to_owned() }.to_string();
        let problem = if authority.is_authority() { time(authority, now) } else { Some(not_signing()) };
        faults.extend(problem.map(|problem| Fault::new(bundle.authorities_file, problem)));
    }
    faults.extend(lists(bundle, now).into_iter().map(|problem| Fault::new(bundle.lists_file, problem)));
    faults
}

/// A client in whom O, OU and DC are equal to a member's: MongoDB would take it for a member, with all rights.
pub fn apart(member: &Certificate, client: &Certificate) -> Option<Fault> {
    if member.membership() != client.membership() {
        return None;
    }
    let (client, member) = (client.subject(), member.subject());
    Some(Fault::new(
        "",
        format!(
            "O, OU and DC of the client certificate {client} are equal to those of the member certificate {member}: \
             MongoDB would take the client for a member, with all rights; give it another OU"
        ),
    ))
}

fn time(certificate: &Certificate, now: Timestamp) -> Option<String> {
    let subject = certificate.subject();
    if now > certificate.not_after() {
        return Some(format!("the certificate {subject} expired at {}", certificate.not_after()));
    }
    let early = now < certificate.not_before();
    early.then(|| format!("the certificate {subject} is valid from {} on, not yet", certificate.not_before()))
}

fn usage(certificate: &Certificate, role: Role) -> Vec<String> {
    let problem =
        |usage: &str| format!("it must not be shown by a {usage}: its key usages lack {usage}Auth or digitalSignature");
    let mut problems = Vec::new();
    if role.is_server() && !certificate.is_for_servers() {
        problems.push(problem("server"));
    }
    if role.is_client() && !certificate.is_for_clients() {
        problems.push(problem("client"));
    }
    problems
}

fn alternative_names(certificate: &Certificate) -> String {
    match certificate.names() {
        [] => "it has no subject alternative name".to_owned(),
        names => format!("its subject alternative names are {}", names.join(", ")),
    }
}

/// From the leaf upwards until somebody who is trusted.
fn chain(bundle: &Bundle) -> Option<String> {
    let mut last = &bundle.certificate;
    for _ in 0..MAX_CHAIN {
        if bundle.authorities.iter().any(|authority| authority.has_signed(last)) {
            return None;
        }
        match bundle
            .intermediates
            .iter()
            .find(|intermediate| intermediate.is_authority() && intermediate.has_signed(last))
        {
            Some(next) => last = next,
            None => break,
        }
    }
    let authorities: Vec<&str> = bundle.authorities.iter().map(Certificate::subject).collect();
    Some(format!(
        "the certificate {} names {} as its issuer, and none of the authorities in `{}` ({}) has signed it",
        last.subject(),
        last.issuer(),
        bundle.authorities_file,
        authorities.join(" and ")
    ))
}

fn lists(bundle: &Bundle, now: Timestamp) -> Vec<String> {
    let mut problems = Vec::new();
    for list in &bundle.lists {
        if !bundle.authorities.iter().any(|authority| authority.is_list_authority() && list.is_signed_by(authority)) {
            problems.push(format!(
                "the list of {} was signed by no authority in `{}`",
                list.issuer(),
                bundle.authorities_file
            ));
        }
        match list.next_update() {
            Some(next_update) if now > next_update => {
                problems
                    .push(format!("the list of {} ended at {next_update}: MongoDB refuses everybody", list.issuer()));
            }
            _ => {}
        }
        if list.revokes(&bundle.certificate) {
            let (subject, serial) = (bundle.certificate.subject(), bundle.certificate.serial());
            problems.push(format!("it revokes the certificate {subject} (serial number {serial})"));
        }
    }
    // MongoDB asks for a list of each authority once it has one.
    for authority in bundle.authorities.iter().filter(|_| !bundle.lists.is_empty()) {
        if !bundle.lists.iter().any(|list| list.is_signed_by(authority)) {
            problems.push(format!("it has no list of the authority {}", authority.subject()));
        }
    }
    problems
}
