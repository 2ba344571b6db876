//! What is said of certificates.

use super::*;

#[test]
fn a_validation_record_that_is_missing_ends_the_certificate() {
    let trouble = scene().without_record("_x.www.example.com").trouble();
    assert_eq!(
        trouble,
        [
            "warning validation_record.www.example.com health: gone from AWS",
            "failure certificate.www validation record www.example.com: there is no CNAME at `_x.www.example.com`; \
             without it the certificate ends at 2027-06-01T12:00:00Z"
        ]
    );
    let mut other = scene();
    other.observed.record_sets[1].values = vec!["_other.acm-validations.aws.".to_owned()];
    assert!(
        other
            .only()
            .contains("leads to `_other.acm-validations.aws` and not to `_y.acm-validations.aws`")
    );
}

#[test]
fn public_dns_decides_where_the_zone_is_not_known_and_warns_where_it_is() {
    type Answers = Answer<Vec<String>>;
    let public = |answer: Answers, zone: bool| {
        let mut scene = scene();
        let names = scene.outside.cnames.values_mut();
        names.for_each(|known| *known = answer.clone());
        if !zone {
            scene.observed.zones.clear();
            for name in ["www.example.com", "example.com"] {
                scene.outside.authorities.insert(name.to_owned(), Ok(Vec::new()));
            }
            // The record's own line is about a zone that is known.
            let record = address("alias_record.www.example.com");
            scene.state.resources.remove(&record);
            let plan = scene.plan.as_mut().unwrap();
            plan.unchanged.retain(|unchanged| *unchanged != record);
        }
        scene.trouble()
    };
    let exact = || Ok(vec!["_y.acm-validations.aws".to_owned()]);
    assert_eq!(public(exact(), false), Vec::<String>::new());
    assert!(public(Ok(Vec::new()), false)[0].starts_with("failure certificate.www validation record"));
    assert!(public(Err("asked 192.0.2.1: no answer".to_owned()), false)[0].starts_with("unknown"));
    assert!(public(Ok(Vec::new()), true)[0].starts_with("warning certificate.www validation record"));
    assert_eq!(public(Err("no answer".to_owned()), true), Vec::<String>::new());
}

#[test]
fn authorities_are_looked_for_upwards_and_the_first_set_decides() {
    let caa = |sets: &[(&str, &str)], above: Answer<Vec<String>>| {
        let mut scene = scene();
        for (name, value) in sets {
            scene.observed.record_sets.push(record(name, "CAA", &[value]));
        }
        scene.outside.authorities.insert("com".to_owned(), above);
        scene.trouble()
    };
    let nothing = || Ok(Vec::new());
    let forbids = "0 issue \"letsencrypt.org\"";
    let allows = "0 issue \"amazon.com\"";
    assert_eq!(caa(&[("example.com", allows)], nothing()), Vec::<String>::new());
    assert_eq!(
        caa(&[("www.example.com", allows), ("example.com", forbids)], nothing()),
        Vec::<String>::new()
    );
    let trouble = caa(&[("example.com", forbids)], nothing());
    assert_eq!(
        trouble,
        [
            "failure certificate.www CAA *.www.example.com: the records at `example.com` forbid Amazon to issue: 0 issue \
             \"letsencrypt.org\"",
            "failure certificate.www CAA www.example.com: the records at `example.com` forbid Amazon to issue: 0 issue \
             \"letsencrypt.org\"",
        ]
    );
    assert!(caa(&[], Ok(vec![forbids.to_owned()]))[0].contains("at `com` forbid"));
    assert!(caa(&[], Err("no answer".to_owned()))[0].starts_with("unknown"));
    // A set below decides, whatever is not known above.
    assert_eq!(
        caa(&[("example.com", allows)], Err("no answer".to_owned())),
        Vec::<String>::new()
    );
}

#[test]
fn what_acm_says_of_a_certificate_is_judged() {
    type Change = fn(&mut Scene);
    let status = |scene: &mut Scene, change: &dyn Fn(&mut String, &mut String, &mut Vec<String>)| {
        if let Status::Certificate {
            state,
            certificate_type,
            in_use_by,
            ..
        } = &mut scene.observed.found[0].status
        {
            change(state, certificate_type, in_use_by);
        }
    };
    let cases: &[(Change, &str)] = &[
        (
            |scene| scene.life().renewal_eligibility = Some("INELIGIBLE".to_owned()),
            "failure certificate.www eligible for renewal: no (INELIGIBLE), though it is in use",
        ),
        (
            |scene| scene.life().renewal_eligibility = None,
            "unknown certificate.www eligible for renewal: ACM does not tell",
        ),
        (
            |scene| scene.life().not_after = Some(days(-1)),
            "failure certificate.www days left: none, it ended at 2026-11-22T12:00:00Z",
        ),
        (
            |scene| {
                scene.life().not_before = Some(days(-190));
                scene.life().not_after = Some(days(8));
            },
            "failure certificate.www days left: 8, until",
        ),
        (
            |scene| {
                scene.life().not_before = Some(days(-178));
                scene.life().not_after = Some(days(20));
            },
            "warning certificate.www days left: 20, until",
        ),
        (
            |scene| scene.life().serial = Some("ab2".to_owned()),
            "failure certificate.www served for www: another than the one that ACM holds: of O=Amazon",
        ),
        (
            |scene| {
                scene
                    .life()
                    .validation_methods
                    .values_mut()
                    .for_each(|method| "EMAIL".clone_into(method));
            },
            "warning certificate.www type: issued by Amazon and validated by mail: www.example.com",
        ),
        (
            |scene| {
                scene
                    .outside
                    .served
                    .values_mut()
                    .for_each(|served| *served = Err("refused".to_owned()));
            },
            "unknown certificate.www served for www: the load balancer shows no certificate: refused",
        ),
    ];
    for (change, expected) in cases {
        let mut scene = scene();
        change(&mut scene);
        let only = scene.only();
        assert!(only.starts_with(expected), "{only}\n{expected}");
    }
    let mut unused = scene();
    status(&mut unused, &|_, _, in_use_by| in_use_by.clear());
    unused.life().renewal_eligibility = Some("INELIGIBLE".to_owned());
    assert_eq!(
        unused.trouble(),
        [
            "failure certificate.www in use: by nothing: ACM renews only what is in use",
            "warning certificate.www eligible for renewal: no, as it is not in use",
        ]
    );
    let mut elsewhere = scene();
    status(&mut elsewhere, &|_, _, in_use_by| {
        *in_use_by = vec!["arn:other".to_owned()];
    });
    assert!(elsewhere.only().contains("only by arn:other"));
    // A day after the issue AWS may still be catching up.
    let mut young = scene();
    young.life().not_before = Some(now());
    young.life().serial = Some("ab2".to_owned());
    young.life().renewal_eligibility = Some("INELIGIBLE".to_owned());
    assert!(
        young.trouble().iter().all(|line| line.starts_with("warning")),
        "{:#?}",
        young.trouble()
    );
    let mut failed = scene();
    status(&mut failed, &|state, _, _| "EXPIRED".clone_into(state));
    assert_eq!(failed.only(), "failure certificate.www health: EXPIRED");
}

#[test]
fn the_last_renewal_is_told_with_its_reason() {
    let renewed = |status: &str, reason: Option<&str>| {
        let mut scene = scene();
        scene.life().renewal = Some(Renewal {
            status: status.to_owned(),
            reason: reason.map(str::to_owned),
            updated_at: Some(days(-1)),
            open_names: match status {
                "PENDING_VALIDATION" => {
                    BTreeMap::from([("www.example.com".parse().unwrap(), "PENDING_VALIDATION".to_owned())])
                }
                _ => BTreeMap::new(),
            },
        });
        scene.trouble()
    };
    assert_eq!(renewed("SUCCESS", None), Vec::<String>::new());
    assert_eq!(renewed("PENDING_AUTO_RENEWAL", None), Vec::<String>::new());
    assert_eq!(
        renewed("PENDING_VALIDATION", None),
        [
            "failure certificate.www renewal: PENDING_VALIDATION since 2026-11-22T12:00:00Z; www.example.com is \
          PENDING_VALIDATION"
        ]
    );
    assert_eq!(
        renewed("FAILED", Some("CAA_ERROR")),
        ["failure certificate.www renewal: FAILED: CAA_ERROR since 2026-11-22T12:00:00Z"]
    );
}

#[test]
fn certificates_named_outright_are_judged_once() {
    let named = format!(
        "{}certificate = \"{CERTIFICATE}\"\n",
        CONFIG.replace("health   = { path = \"/\" }\n", "health.path = \"/\"\n")
    );
    let mut scene = scene_of(&named);
    let title = |scene: &Scene| scene.report().groups[1].title.clone();
    assert_eq!(title(&scene), format!("Certificate {CERTIFICATE} of www"));
    if let Status::Certificate { certificate_type, .. } = &mut scene.observed.found[0].status {
        "IMPORTED".clone_into(certificate_type);
    }
    scene.life().renewal_eligibility = Some("INELIGIBLE".to_owned());
    assert_eq!(
        scene.only(),
        format!("failure {CERTIFICATE} type: imported: ACM never renews it")
    );
    scene.observed.found.remove(0);
    scene.state.resources.remove(&address("certificate.www"));
    scene.plan.as_mut().unwrap().unchanged.remove(0);
    assert_eq!(
        scene.only(),
        format!("failure {CERTIFICATE} status: ACM does not have this certificate")
    );
}

#[test]
fn every_site_has_its_certificate() {
    let second = CONFIG
        .replace("site.www", "site.shop")
        .replace("www.example.com", "shop.example.com");
    let mut scene = scene_of(&format!("name = \"both\"\n{CONFIG}{second}"));
    let mut shop = certificate();
    shop.id = format!("{CERTIFICATE}2");
    scene.observed.found.push(shop);
    let mut entry = scene.state.resources[&address("certificate.www")].clone();
    entry.id = format!("{CERTIFICATE}2");
    scene.state.resources.insert(address("certificate.shop"), entry);
    let titles: Vec<String> = scene.report().groups.into_iter().map(|group| group.title).collect();
    assert_eq!(
        titles,
        [
            "Resources",
            "Certificate certificate.shop of shop",
            "Certificate certificate.www of www"
        ]
    );
    assert_eq!(
        questions(&scene.config, &scene.observed, &scene.state).handshakes.len(),
        2
    );
}
