//! The agencies' API, as people ask it from outside: who sees what, by certificate and by token, and what it may do itself.

use crate::world::{PATIENCE, World};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use serde_json::json;
use std::sync::Arc;
use tandem_arbiter::records::PREFIX;
use tandem_arbiter::store::{Store, StoreError};
use tandem_arbiter::txn::{Op, Txn};
use tandem_crds::Kind;
use tandem_tests::https::{Answer, Caller, Shown};
use tandem_tests::{api, built_in, eventually};

const TOKEN_FORM: &str = "grant_type=client_credentials";

/// The environments of the two units that people of the lab are in, at both sites.
async fn two_agencies(world: &World) {
    for unit in ["health", "water"] {
        world.agency(unit).await;
    }
    let wang = ["dc-a", "dc-b"].map(|site| world.lab.asks_api(site, Shown::Person("wang")));
    for caller in &wang {
        for environment in ["health-prod", "water-prod"] {
            shows(caller, &format!("/v1/applications/{environment}/web")).await;
        }
    }
}

/// Waits until something is shown: the API reads by watching, a moment after it was written.
async fn shows(caller: &Caller, path: &str) -> Answer {
    eventually(&format!("{path} to be shown"), PATIENCE, || async {
        caller.try_get(path).await.ok().filter(|answer| answer.status == 200)
    })
    .await
}

async fn token(world: &World, person: &'static str) -> String {
    let issuer = world.lab.asks_issuer(Shown::Person(person));
    let answer = issuer.try_form("/token", TOKEN_FORM).await.unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body["access_token"].as_str().unwrap().to_owned()
}

/// Li sees the own unit and nothing of the others', whichever way.
async fn is_li_of_health(caller: &Caller, via: &str) {
    let me = caller.get("/v1/me").await;
    let wanted = json!({"name": "li", "unit": "health", "roles": ["agency-administrator"], "via": via});
    assert_eq!((me.status, &me.body), (200, &wanted));
    assert_eq!(caller.get("/v1/environments/health-prod").await.status, 200);
    assert_eq!(caller.get("/v1/applications/health-prod/web").await.status, 200);
    for others in ["/v1/environments/water-prod", "/v1/units/water", "/v1/applications/water-prod/web"] {
        let answer = caller.get(others).await;
        assert_eq!((answer.status, answer.media.as_str()), (404, "application/problem+json"), "{others}: {answer:?}");
    }
    let listed = caller.get("/v1/environments").await;
    let units = listed.body["items"].as_array().unwrap().iter().map(|item| &item["spec"]["unit"]);
    assert!(units.clone().count() >= 1 && units.into_iter().all(|unit| unit == "health"), "{listed:?}");
}

async fn is_nobody(caller: &Caller) {
    for path in ["/v1/me", "/v1/environments/health-prod", "/v1/environments"] {
        let answer = caller.get(path).await;
        assert_eq!((answer.status, answer.media.as_str()), (401, "application/problem+json"), "{path}: {answer:?}");
    }
}

pub(crate) async fn people_see_their_own_unit_and_nothing_of_others(world: Arc<World>) {
    two_agencies(&world).await;
    for site in ["dc-a", "dc-b"] {
        is_li_of_health(&world.lab.asks_api(site, Shown::Person("li")), "certificate").await;
        let zhao = world.lab.asks_api(site, Shown::Person("zhao"));
        assert_eq!(zhao.get("/v1/environments/health-prod").await.status, 200);
        let sun = world.lab.asks_api(site, Shown::Person("sun"));
        assert_eq!(sun.get("/v1/environments/water-prod").await.status, 200);
        assert_eq!(sun.get("/v1/environments/health-prod").await.status, 404);
        for office in ["wang", "chen", "liu"] {
            let caller = world.lab.asks_api(site, Shown::Person(office));
            for environment in ["health-prod", "water-prod"] {
                let answer = caller.get(&format!("/v1/environments/{environment}")).await;
                assert_eq!(answer.status, 200, "{office}: {answer:?}");
            }
        }
        let nobody = world.lab.asks_api(site, Shown::Nothing);
        is_nobody(&nobody).await;
        assert_eq!(nobody.get("/readyz").await.status, 200);
        // Another authority's certificate, though it is a good one for its own servers, gives nobody a connection.
        let operator = world.lab.dir().join(site).join("pki/user-operator");
        let stranger = world.lab.asks_api(site, Shown::Certificate(operator));
        let refused = stranger.try_get("/v1/me").await;
        assert!(refused.is_err(), "{refused:?}");
    }
}

pub(crate) async fn a_token_says_what_a_certificate_says(world: Arc<World>) {
    two_agencies(&world).await;
    let good = token(&world, "li").await;
    let (head, rest) = good.split_once('.').unwrap();
    let (claims, signature) = rest.split_once('.').unwrap();
    let (wangs, start) = (token(&world, "wang").await, if signature.starts_with('A') { 'B' } else { 'A' });
    let forged = format!("{head}.{}.{signature}", wangs.split('.').nth(1).unwrap());
    let damaged = format!("{head}.{claims}.{start}{}", &signature[1..]);
    for site in ["dc-a", "dc-b"] {
        let nobody = world.lab.asks_api(site, Shown::Nothing);
        is_li_of_health(&nobody.with_token(&good), "token").await;
        for bad in [&forged, &damaged, &format!("{head}.{claims}."), &"x".to_owned()] {
            is_nobody(&nobody.with_token(bad)).await;
            // Nor does a good certificate make up for it.
            is_nobody(&world.lab.asks_api(site, Shown::Person("li")).with_token(bad)).await;
        }
    }
    // Tokens are for whose certificate is shown.
    for (shown, form) in [
        (Shown::Nothing, TOKEN_FORM.to_owned()),
        (Shown::Nothing, format!("{TOKEN_FORM}&client_id=li")),
        (Shown::Person("li"), format!("{TOKEN_FORM}&client_id=wang")),
    ] {
        let answer = world.lab.asks_issuer(shown).try_form("/token", &form).await.unwrap();
        assert_eq!(answer.status, 401, "{form}: {answer:?}");
    }
}

pub(crate) async fn what_is_asked_for_is_decided_and_carried_out(world: Arc<World>) {
    two_agencies(&world).await;
    let asks = |site: &str, person| world.lab.asks_api(site, Shown::Person(person));
    // Chen has a profile that wants two people, through the same API.
    let profile = json!({"spec": {
        "displayName": {"zh": "双人审批"}, "mlpsLevel": 2, "podSecurity": "Baseline", "images": {}, "securityDecision": true,
    }});
    let two_people = asks("dc-a", "chen").put("/v1/security/profiles/two-people", "profile", &profile).await;
    assert_eq!(two_people.status, 201, "{two_people:?}");
    let application = tandem_tests::fixtures::application("health-test", "hall", 1);
    let asked = json!({
        "type": "Create", "environment": "health-test", "purpose": "Test", "reason": "a test",
        "securityProfile": "two-people", "quota": {"cpu": "2", "memory": "8Gi", "storage": "50Gi", "pods": 10},
        "applications": [{"name": "hall", "spec": application["spec"]}],
    });
    shows(&asks("dc-a", "li"), "/v1/units/health").await;
    shows(&asks("dc-a", "wang"), "/v1/security/profiles/two-people").await;
    // The site without authority says where the other one is reached, as the asker reaches it.
    let elsewhere = asks("dc-b", "li").post("/v1/requests", "first", &asked).await;
    assert_eq!(
        (elsewhere.status, &elsewhere.body["address"]),
        (421, &json!(asks("dc-a", "li").address())),
        "{elsewhere:?}"
    );

    let made = asks("dc-a", "li").post("/v1/requests", "first", &asked).await;
    assert_eq!(made.status, 201, "{made:?}");
    let again = asks("dc-a", "li").post("/v1/requests", "first", &asked).await;
    assert_eq!((again.status, &again.body["name"]), (201, &made.body["name"]), "the same key is the same request");
    let place = made.location.unwrap();
    assert_eq!(asks("dc-a", "sun").get(&place).await.status, 404);
    let decision = json!({"outcome": "Approve", "digest": made.body["digest"]});
    let decide = format!("{place}/decisions");
    assert_eq!(asks("dc-a", "liu").post(&decide, "not-hers", &decision).await.status, 403);
    for (person, key) in [("wang", "yes"), ("chen", "secure")] {
        let decided = asks("dc-a", person).post(&decide, key, &decision).await;
        assert_eq!(decided.status, 202, "{decided:?}");
    }
    world.ready(Kind::Environment, None, "health-test").await;
    world.ready(Kind::Application, Some("health-test"), "hall").await;
    for site in ["dc-a", "dc-b"] {
        shows(&asks(site, "li"), "/v1/applications/health-test/hall").await;
        eventually("the request to be provisioned", PATIENCE, || async {
            let answer = asks(site, "li").try_get(&place).await.ok()?;
            (answer.body["status"]["phase"] == "Provisioned").then_some(())
        })
        .await;
    }
    proves_who_decided(&world).await;
    takes_it_away(&world).await;
}

/// Li deletes the application, and it goes in both sites.
async fn takes_it_away(world: &World) {
    let hall = "/v1/applications/health-test/hall";
    let asks = |person| world.lab.asks_api("dc-a", Shown::Person(person));
    assert_eq!(asks("sun").delete(hall, "not-hers").await.status, 404);
    assert_eq!(asks("wang").delete(hall, "not-his").await.status, 403);
    let deleted = asks("li").delete(hall, "no-longer").await;
    assert_eq!(deleted.status, 204, "{deleted:?}");
    for client in world.both() {
        let deployments = built_in(client, "apps", "Deployment", Some("health-test"));
        let applications = api(client, Kind::Application, Some("health-test"));
        eventually("the application and its pods to be gone", PATIENCE, || async {
            let left = deployments.list(&ListParams::default()).await.ok()?.items.len();
            (left == 0 && applications.get_opt("hall").await.ok()?.is_none()).then_some(())
        })
        .await;
    }
}

pub(crate) async fn the_command_line_asks_decides_and_watches(world: Arc<World>) {
    two_agencies(&world).await;
    shows(&world.lab.asks_api("dc-a", Shown::Person("sun")), "/v1/units/water").await;
    let tandem = |person: &str, site: &str, arguments: &[&str]| {
        let output = world.lab.tandem_as(person, site, &[&["request"], arguments].concat());
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let create = [
        "create",
        "--type",
        "Create",
        "--environment",
        "water-cli",
        "--cpu",
        "1",
        "--memory",
        "1Gi",
        "--storage",
        "1Gi",
    ];
    let create = [&create[..], &["--pods", "2", "--reason", "a test", "--output", "json"]].concat();
    // Sent to the site without authority, it is followed to the other.
    let (code, made, said) = tandem("sun", "dc-b", &create);
    assert_eq!(code, Some(0), "{said}");
    let made: serde_json::Value = serde_json::from_str(&made).unwrap();
    let name = made["name"].as_str().unwrap();
    eventually("the request to be listed", PATIENCE, || async {
        let (_, listed, _) = tandem("sun", "dc-a", &["list", "--phase", "Pending"]);
        listed.contains(name).then_some(())
    })
    .await;
    let (code, _, said) = tandem("li", "dc-a", &["get", name]);
    assert_eq!(code, Some(1), "another unit's is not there: {said}");
    let (code, _, said) = tandem("sun", "dc-a", &["approve", name, "--yes"]);
    assert_eq!(code, Some(1), "nobody decides their own: {said}");
    let (code, _, said) = tandem("wang", "dc-a", &["approve", name, "--yes", "--note", "fine"]);
    assert_eq!(code, Some(0), "{said}");
    let (code, watched, said) = tandem("sun", "dc-b", &["watch", name, "--timeout", "60"]);
    assert_eq!(code, Some(0), "{watched}{said}");
    assert!(watched.contains("Provisioned"), "{watched}");
    world.ready(Kind::Environment, None, "water-cli").await;
}

pub(crate) async fn a_group_is_moved_over_the_api_of_either_site(world: Arc<World>) {
    two_agencies(&world).await;
    let wang = world.lab.asks_api("dc-b", Shown::Person("wang"));
    let selector = json!({"groups": ["health-prod-web"]});
    shows(&wang, "/v1/failover-groups/health-prod-web").await;
    // The way back is a switchover too: a failback waits until the group has dwelt there.
    for (to, kind, key) in [("dc-b", "Switchover", "out"), ("dc-a", "Switchover", "back")] {
        let plan = wang.post("/v1/failovers/plan", "", &json!({"type": kind, "to": to, "selector": selector})).await;
        assert_eq!(plan.status, 200, "{plan:?}");
        let wish = json!({"type": kind, "to": to, "selector": selector, "reason": "a test"});
        let refused = world.lab.asks_api("dc-b", Shown::Person("li")).post("/v1/failovers", key, &wish).await;
        assert_eq!(refused.status, 403, "{refused:?}");
        let asked = wang.post("/v1/failovers", key, &wish).await;
        assert_eq!(asked.status, 201, "{asked:?}");
        let place = asked.location.unwrap();
        // Followed at the other site: the stream ends by itself once the move has.
        let other = world.lab.asks_api("dc-a", Shown::Person("wang"));
        shows(&other, &place).await;
        let told = eventually("the move to end", PATIENCE, || async {
            // One look lasts as long as a caller waits for an answer.
            other.try_get(&format!("{place}/events")).await.ok()
        })
        .await;
        assert!(told.text.contains("event: end"), "{told:?}");
        assert!(told.text.contains("Completed"), "{told:?}");
        for site in ["dc-a", "dc-b"] {
            let li = world.lab.asks_api(site, Shown::Person("li"));
            eventually("the application to be active there", PATIENCE, || async {
                let answer = li.try_get("/v1/applications/health-prod/web").await.ok()?;
                (answer.body["status"]["activeSite"] == to).then_some(())
            })
            .await;
        }
    }
    let liu = world.lab.asks_api("dc-b", Shown::Person("liu")).get("/v1/audit/file").await;
    assert!(liu.text.contains("failovers.create"), "{liu:?}");
}

/// The whole trail is in the chain, which is verified offline; one byte of it changed is found.
async fn proves_who_decided(world: &World) {
    let liu = world.lab.asks_api("dc-a", Shown::Person("liu"));
    let chain = liu.get("/v1/audit/file").await;
    assert_eq!((chain.status, chain.media.as_str()), (200, "application/x-ndjson"), "{chain:?}");
    for (who, what) in [
        ("chen", "security-profiles.create"),
        ("li", "requests.create"),
        ("wang", "requests.approve"),
        ("chen", "requests.approve"),
    ] {
        let stands = |line: &&str| {
            line.contains(&format!("\"name\":\"{who}\"")) && line.contains(&format!("\"action\":\"{what}\""))
        };
        assert!(
            chain.text.lines().filter(stands).count() >= 2,
            "{who} {what}, begun and done, is not in {}",
            chain.text
        );
    }
    assert_eq!(world.lab.asks_api("dc-a", Shown::Person("wang")).get("/v1/audit/file").await.status, 403);
    let file = world.lab.dir().join("chain.ndjson");
    std::fs::write(&file, &chain.text).unwrap();
    let verify = || world.lab.tandem("dc-a", &["audit", "verify", file.to_str().unwrap()]);
    let whole = verify();
    assert!(whole.status.success(), "{whole:?}");
    std::fs::write(&file, chain.text.replacen("requests.approve", "requests.approvE", 1)).unwrap();
    let changed = verify();
    assert!(!changed.status.success(), "{changed:?}");
}

pub(crate) async fn a_killed_api_and_a_killed_issuer_come_back(world: Arc<World>) {
    two_agencies(&world).await;
    let before = token(&world, "li").await;
    let asks = |site: &str| world.lab.asks_api(site, Shown::Person("li"));
    is_li_of_health(&asks("dc-a"), "certificate").await;
    world.lab.run(&["kill", "dc-a/api"]);
    // The other site's is another process.
    is_li_of_health(&asks("dc-b"), "certificate").await;
    let after = asks("dc-a");
    shows(&after, "/v1/environments/health-prod").await;
    shows(&after, "/v1/applications/health-prod/web").await;
    is_li_of_health(&after, "certificate").await;

    world.lab.run(&["kill", "witness/issuer"]);
    let nobody = world.lab.asks_api("dc-b", Shown::Nothing);
    // Those who have certificates need no issuer, and a token holds for as long as the key is known by which it is signed.
    is_li_of_health(&asks("dc-b"), "certificate").await;
    let anew = eventually("the issuer to give a token again", PATIENCE, || async {
        let issuer = world.lab.asks_issuer(Shown::Person("li"));
        let answer = issuer.try_form("/token", TOKEN_FORM).await.ok()?;
        answer.body["access_token"].as_str().map(str::to_owned).filter(|token| *token != before)
    })
    .await;
    // It signs with another key now, which the API fetches, though not more often than every ten seconds.
    eventually("a token by the new key to hold", PATIENCE, || async {
        let me = nobody.with_token(&anew).try_get("/v1/me").await.ok()?;
        (me.status == 200).then_some(())
    })
    .await;
    is_nobody(&nobody.with_token(&before)).await;
}

pub(crate) async fn the_api_itself_may_do_no_more_than_it_needs(world: Arc<World>) {
    two_agencies(&world).await;
    let client = world.lab.client_as("dc-a", "user-api").await;
    for kind in Kind::ALL {
        assert!(api(&client, kind, None).list(&ListParams::default()).await.is_ok(), "{kind} are shown");
    }
    let (try_it, patch) = (PostParams { dry_run: true, ..PostParams::default() }, json!({"metadata": {"labels": {}}}));
    for kind in Kind::ALL {
        let namespace = kind.namespaced().then_some("health-prod");
        let changed = api(&client, kind, namespace).patch("x", &PatchParams::default(), &Patch::Merge(&patch)).await;
        forbidden(&format!("to patch {kind}, which forgets versions"), &changed);
        let deleted = api(&client, kind, namespace).delete("x", &DeleteParams::default()).await;
        match (kind, deleted) {
            (Kind::Application, Err(kube::Error::Api(status))) => assert_eq!(status.code, 404, "{status:?}"),
            (_, deleted) => forbidden(&format!("to delete {kind}"), &deleted),
        }
    }
    let environment = json!({"apiVersion": "tandem.dev/v1alpha1", "kind": "Environment", "metadata": {"name": "x"}});
    let made = api(&client, Kind::Environment, None);
    let made = made.create(&try_it, &serde_json::from_value(environment).unwrap()).await;
    forbidden("to make an environment, which takes a request", &made);
    let request = json!({
        "apiVersion": "tandem.dev/v1alpha1", "kind": "EnvironmentRequest", "metadata": {"name": "of-the-api"},
        "spec": {
            "type": "Delete", "unit": "health", "environment": "health-prod", "reason": "a test",
            "requestedBy": {"name": "li"}, "submittedAt": "2026-01-01T08:00:00Z",
        },
    });
    let requests = api(&client, Kind::EnvironmentRequest, None);
    let made = requests.create(&try_it, &serde_json::from_value(request).unwrap()).await;
    assert!(made.is_ok(), "{made:?}");
    let shown = requests.patch_status("x", &PatchParams::default(), &Patch::Merge(json!({"status": {}}))).await;
    forbidden("to say what became of a request", &shown);
    for (group, kind) in [("", "Secret"), ("", "Pod"), ("apps", "Deployment"), ("rbac.authorization.k8s.io", "Role")] {
        forbidden(kind, &built_in(&client, group, kind, Some("health-prod")).list(&ListParams::default()).await);
    }
    its_arbiter_user_may_do_no_more(&world).await;
}

async fn its_arbiter_user_may_do_no_more(world: &World) {
    let arbiter = world.lab.arbiter_as("dc-a", "arbiter-api").await;
    let range = |part: &'static str| {
        let arbiter = &arbiter;
        async move { arbiter.range(&format!("{PREFIX}{part}")).await }
    };
    for part in [
        "audit/",
        "audit/dc-b/",
        "drift/",
        "generation",
        "groups/",
        "holds/",
        "idempotency/",
        "ledger/",
        "requests/",
        "sites/",
        "specs/",
        "versions/",
    ] {
        let read = range(part).await;
        assert!(read.is_ok(), "{part}: {read:?}");
    }
    for part in ["", "attestations/", "conflicts/", "executions/", "replacements", "revision", "status/"] {
        let read = range(part).await;
        assert!(matches!(read, Err(StoreError::Refused(_))), "{part:?}: {read:?}");
    }
    // Deleting what is not there takes the right to write, and leaves no trace.
    let deletes = |key: &'static str| {
        let txn = Txn { then: vec![Op::delete(format!("{PREFIX}{key}"))], ..Txn::default() };
        let arbiter = &arbiter;
        async move { arbiter.txn(&txn).await }
    };
    for key in ["audit/dc-a/none", "idempotency/none", "ledger/none"] {
        let written = deletes(key).await;
        assert!(written.is_ok(), "{key}: {written:?}");
    }
    for key in [
        "audit/dc-b/none",
        "drift/dc-a/none",
        "groups/none",
        "holds/none",
        "sites/dc-a/none",
        "specs/none",
        "generation",
        "status/none",
        "versions/none",
    ] {
        let written = deletes(key).await;
        assert!(matches!(written, Err(StoreError::Refused(_))), "{key}: {written:?}");
    }
}

#[track_caller]
fn forbidden<T: std::fmt::Debug>(what: &str, tried: &Result<T, kube::Error>) {
    assert!(matches!(tried, Err(kube::Error::Api(status)) if status.code == 403), "{what}: {tried:?}");
}
