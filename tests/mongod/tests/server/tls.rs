//! Who may connect (MongoDB manual, "Configure mongod and mongos for TLS/SSL" and `rotateCertificates`).

use std::fs;
use std::path::Path;

use mongodb::bson::{bson, doc};

use super::look;
use super::pki::{CLIENT, MEMBER, SERIAL};
use super::process::{Mongod, Place, code, run};

/// Whether a certificate is taken.
fn is_taken(place: &Place, certificate: &Path) -> bool {
    look::with(place, Some(certificate)).is_ok()
}

/// The serial number of the certificate that it shows.
fn serial(place: &Place) -> u64 {
    look::with(place, Some(&place.pki.client(MEMBER, "looker", 101))).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn only_certificates_of_the_authority_are_taken() {
    let Some(server) = Mongod::initiated().await else { return };
    let place = &server.place;
    assert!(is_taken(place, &place.pki.client(MEMBER, "a", 1)));
    let other = Place::new();
    assert!(!is_taken(place, &other.pki.client(MEMBER, "a", 1)), "of another authority");
    assert!(look::plainly(place).is_err(), "without TLS");
    assert!(look::with(place, None).is_err(), "without certificate");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_certificate_is_refused_and_a_list_that_has_ended_refuses_everybody() {
    let Some(server) = Mongod::initiated().await else { return };
    let place = &server.place;
    let admin = server.admin();
    let [good, bad] = [("good", 1), ("bad", 2)].map(|(name, serial)| place.pki.client(MEMBER, name, serial));
    assert!(is_taken(place, &bad));
    place.pki.revoke(&[2], 2200);
    assert!(is_taken(place, &bad), "the list is not read again by itself");
    run(&admin, doc! { "rotateCertificates": 1 }).await.unwrap();
    assert!(!is_taken(place, &bad));
    assert!(is_taken(place, &good));
    place.pki.revoke(&[], 2021);
    let (place, _) = server.stop();
    let server = place.start().unwrap();
    assert!(!is_taken(&server.place, &good));
}

#[tokio::test(flavor = "multi_thread")]
async fn new_certificates_are_served_once_it_is_told_to_read_them() {
    let Some(server) = Mongod::initiated().await else { return };
    let place = &server.place;
    let admin = server.admin();
    run(&admin, doc! { "ping": 1 }).await.unwrap();
    assert_eq!(serial(place), SERIAL);
    place.pki.member(8, 2200);
    assert_eq!(serial(place), SERIAL);
    run(&admin, doc! { "rotateCertificates": 1 }).await.unwrap();
    assert_eq!(serial(place), 8);
    // What does not read changes nothing.
    fs::write(place.pki.file("member.pem"), "nothing").unwrap();
    assert!(run(&admin, doc! { "rotateCertificates": 1 }).await.is_err());
    place.pki.member(9, 2020);
    assert!(run(&admin, doc! { "rotateCertificates": 1 }).await.is_err(), "it has ended");
    place.pki.member(10, 2200);
    assert_eq!(serial(place), 8);
    // Manual, "Built-In Roles", `hostManager`.
    let client = server.user("node", bson!([{ "role": "readWriteAnyDatabase", "db": "admin" }])).await;
    assert_eq!(code(run(&client.database("admin"), doc! { "rotateCertificates": 1 }).await), 13);
    assert!(is_taken(place, &place.pki.client(CLIENT, "node", 200)));
}
