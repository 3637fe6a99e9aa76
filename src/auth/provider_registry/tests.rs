//! Which ACLs let whom do what, scheme by scheme.

use jute::Id;

use super::*;

const PEER: &str = "10.0.0.7:4000";
/// Of `alice:secret`.
const ALICE: &str = "alice:aYXlLOpEooaV1cRAvUL1fp9Qt7E=";

fn peer() -> SocketAddr {
    PEER.parse().expect(PEER)
}

fn connected() -> Arc<[Identity]> {
    Arc::new([ip::ip_identity(peer())])
}

fn alice() -> Arc<[Identity]> {
    let mut identities = connected();
    let registry = ProviderRegistry::default();
    let done = registry.authenticate("digest", Some(b"alice:secret"), peer(), &mut identities);
    assert_eq!(done, Ok(()));
    identities
}

fn acl(perms: i32, scheme: &'static str, id: &'static str) -> Acl<'static> {
    Acl { perms, id: Id { scheme: scheme.into(), id: id.into() } }
}

fn entry(perms: Perms, scheme: &'static str, id: &'static str) -> AclEntry {
    (&acl(perms.0, scheme, id)).into()
}

#[test]
fn digest_credentials_give_an_identity_once() {
    let mut identities = alice();
    assert!(identities.contains(&Identity::new("digest", ALICE)));
    let registry = ProviderRegistry::default();
    let again = registry.authenticate("digest", Some(b"alice:secret"), peer(), &mut identities);
    assert_eq!((again, identities.len()), (Ok(()), 2));
    let null = registry.authenticate("digest", None, peer(), &mut identities);
    assert_eq!(null, Err(AuthFailure::Refused));
}

#[test]
fn the_super_user_gets_a_second_identity() {
    let options = AuthOptions { super_digest: Some(ALICE.into()), ..Default::default() };
    let registry = ProviderRegistry::new(options);
    let mut identities = connected();
    let done = registry.authenticate("digest", Some(b"alice:secret"), peer(), &mut identities);
    assert_eq!((done, identities.len()), (Ok(()), 3));
    let nobody = [entry(Perms::ALL, "digest", "bob:x")];
    assert!(registry.check_acl(&nobody, Perms::ADMIN, &identities));
    assert!(!registry.check_acl(&nobody, Perms::ADMIN, &alice()));
}

#[test]
fn the_scheme_ip_adds_what_is_there() {
    let mut identities = connected();
    let registry = ProviderRegistry::default();
    assert_eq!(registry.authenticate("ip", None, peer(), &mut identities), Ok(()));
    assert_eq!(*identities, [Identity::new("ip", "10.0.0.7")]);
}

#[test]
fn other_schemes_are_refused() {
    let options = AuthOptions { digest_enabled: false, ..Default::default() };
    let registry = ProviderRegistry::new(options);
    let mut identities = connected();
    for scheme in ["digest", "world", "auth", "super", "sasl", "x509", "ensemble", ""] {
        let refused = registry.authenticate(scheme, Some(b"a:b"), peer(), &mut identities);
        assert_eq!(refused, Err(AuthFailure::Refused), "{scheme}");
        assert!(!registry.has_scheme(scheme));
    }
    assert_eq!(identities.len(), 1);
}

#[test]
fn the_ensemble_must_be_named_right_or_not_at_all() {
    let authenticate = |names: &[&str], name: Option<&[u8]>| {
        let names = names.iter().map(|&name| name.to_owned()).collect();
        let options = AuthOptions { ensemble_names: Some(names), ..Default::default() };
        let mut identities = connected();
        let done =
            ProviderRegistry::new(options).authenticate("ensemble", name, peer(), &mut identities);
        assert_eq!(identities.len(), 1);
        done
    };
    assert_eq!(authenticate(&["a", "b"], Some(b"b")), Ok(()));
    assert_eq!(authenticate(&["a", "b"], Some(b"c")), Err(AuthFailure::WrongEnsemble));
    assert_eq!(authenticate(&["a"], Some(b"")), Ok(()));
    assert_eq!(authenticate(&["a"], None), Ok(()));
    assert_eq!(authenticate(&[], Some(b"c")), Ok(()));
}

#[test]
fn enforced_schemes_are_asked_of_a_connection() {
    let enforcing = |schemes: &[&str]| {
        let schemes = schemes.iter().map(|&scheme| scheme.to_owned()).collect();
        let options = AuthOptions { enforced_schemes: Some(schemes), ..Default::default() };
        ProviderRegistry::new(options)
    };
    assert!(ProviderRegistry::default().may_request(&[]));
    assert!(!enforcing(&["digest"]).may_request(&connected()));
    assert!(enforcing(&["digest"]).may_request(&alice()));
    assert!(enforcing(&["digest", "ip"]).may_request(&connected()));
}

#[test]
fn a_list_to_store_has_each_entry_once_in_order() {
    let requested = [
        acl(31, "world", "anyone"),
        acl(1, "ip", "10.0.0.0/8"),
        acl(31, "world", "anyone"),
        acl(1, "world", "anyone"),
        acl(-1, "digest", "bob:x"),
    ];
    let fixed = ProviderRegistry::default().fixup_acl(&requested, &connected());
    let [anyone, ip, _, read, bob] = requested.each_ref().map(AclEntry::from);
    assert_eq!(fixed, Ok(vec![anyone, ip, read, bob]));
}

#[test]
fn auth_stands_for_the_authenticated_identities() {
    let registry = ProviderRegistry::default();
    let requested = [acl(5, "auth", "ignored"), acl(5, "digest", ALICE)];
    let alices = entry(Perms(5), "digest", ALICE);
    assert_eq!(registry.fixup_acl(&requested, &alice()), Ok(vec![alices.clone(), alices]));
    let of_super = [Identity::new("super", ""), Identity::new("ip", "10.0.0.7")];
    assert_eq!(registry.fixup_acl(&requested, &of_super), Err(ErrorCode::InvalidAcl));
}

#[test]
fn bad_lists_are_refused() {
    let registry = ProviderRegistry::default();
    assert_eq!(registry.fixup_acl(&[], &alice()), Err(ErrorCode::InvalidAcl));
    for (scheme, id) in [
        ("world", "everyone"),
        ("digest", "nocolon"),
        ("ip", "localhost"),
        ("sasl", "bob"),
        ("super", ""),
        ("host", "example.org"),
        ("ensemble", "a"),
    ] {
        let requested = [acl(31, "world", "anyone"), acl(31, scheme, id)];
        assert_eq!(
            registry.fixup_acl(&requested, &alice()),
            Err(ErrorCode::InvalidAcl),
            "{scheme}"
        );
    }
}

#[test]
fn the_check_needs_an_entry_with_the_bit_for_this_client() {
    let registry = ProviderRegistry::default();
    let list = [
        entry(Perms::READ, "world", "anyone"),
        entry(Perms::WRITE, "ip", "10.0.0.0/24"),
        entry(Perms::ADMIN.or(Perms::CREATE), "digest", ALICE),
        entry(Perms::DELETE, "sasl", "alice"),
    ];
    let stranger = [Identity::new("ip", "10.0.1.7"), Identity::new("digest", "bob:x")];
    for (perms, of_alice, of_stranger) in [
        (Perms::READ, true, true),
        (Perms::WRITE, true, false),
        (Perms::CREATE, true, false),
        (Perms::ADMIN, true, false),
        (Perms::DELETE, false, false),
        (Perms::READ.or(Perms::ADMIN), true, true),
    ] {
        assert_eq!(registry.check_acl(&list, perms, &alice()), of_alice, "{perms:?}");
        assert_eq!(registry.check_acl(&list, perms, &stranger), of_stranger, "{perms:?}");
    }
    assert!(registry.check_acl(&[], Perms::ADMIN, &stranger));
    let skipping = ProviderRegistry::new(AuthOptions { skip_acl: true, ..Default::default() });
    assert!(skipping.check_acl(&list, Perms::DELETE, &stranger));
}

#[test]
fn the_identity_must_be_of_the_entrys_scheme() {
    let registry = ProviderRegistry::default();
    let list = [entry(Perms::ALL, "digest", "10.0.0.7")];
    assert!(!registry.check_acl(&list, Perms::READ, &connected()));
}

#[test]
fn digests_are_hidden_from_who_may_not_administer() {
    let registry = ProviderRegistry::default();
    let list = [entry(Perms::ALL, "digest", ALICE), entry(Perms::READ, "ip", "10.0.0.7")];
    assert_eq!(*registry.visible_acl(&list, &alice()), list);
    let shown = registry.visible_acl(&list, &connected());
    assert_eq!(*shown, [entry(Perms::ALL, "digest", "alice:x"), list[1].clone()]);
}

#[test]
fn who_am_i() {
    let registry = ProviderRegistry::default();
    let identities = [
        Identity::new("ip", "10.0.0.7"),
        Identity::new("super", ""),
        Identity::new("digest", ALICE),
    ];
    let infos = registry.client_infos(&identities);
    let told: Vec<_> = infos.iter().map(|info| (&*info.auth_scheme, &*info.user)).collect();
    assert_eq!(told, [("ip", "10.0.0.7"), ("super", ""), ("digest", "alice")]);
}
