//! Services and deployments of the process itself.

use super::*;

/// Echoes payloads, and refuses some.
#[derive(Default)]
struct Echo(Mutex<Vec<Inbound>>);

impl Dispatch for Echo {
    fn dispatch(&self, request: Inbound) -> BoxFuture<'static, Outcome> {
        let head = Head::unpack(&request.head).unwrap();
        assert_eq!(head.channel, &*request.service);
        assert_eq!(head.headers().collect::<Vec<_>>(), [("x-test", &b"1"[..])]);
        let outcome = match &request.body[..] {
            b"refuse" => Outcome::Fault(Fault::new(400, "Element missing: a")),
            body => Outcome::Reply(Reply {
                status: 201,
                content_type: "text/plain".into(),
                headers: vec![("X".into(), "y".into())],
                body: body.to_vec().into(),
                stream: None,
            }),
        };
        self.0.lock().unwrap().push(request);
        Box::pin(std::future::ready(outcome))
    }
}

#[tokio::test]
async fn what_runs_here_is_invoked_and_deployed() {
    let bench = Bench::new().await;
    let dir = tempfile::tempdir().unwrap();
    let deployer = Deployer::new(bench.store.clone(), bench.host.clone(), ServiceTable::new());
    let echo = Arc::new(Echo::default());
    let running = Running::new(deployer, echo.clone(), dir.path().to_owned());

    let deployed = running
        .deploy("shop.py".into(), b"# service".to_vec(), "ann")
        .await
        .unwrap();
    assert_eq!(
        (deployed.generation, deployed.services),
        (1, vec!["shop.run".to_owned()])
    );
    assert_eq!(std::fs::read(dir.path().join("shop.py")).unwrap(), b"# service");
    let deployed = running
        .deploy("shop.py".into(), b"# service".to_vec(), "ann")
        .await
        .unwrap();
    assert_eq!(
        (deployed.generation, deployed.services),
        (1, vec!["shop.run".to_owned()]),
        "nothing to do"
    );

    let module = || "shop".to_owned();
    let newer = running
        .deploy("shop.py".into(), b"# newer".to_vec(), "bob")
        .await
        .unwrap();
    let generations = |history: Vec<StoredSource>| history.iter().map(|it| it.generation).collect::<Vec<_>>();
    assert_eq!(
        generations(running.history(module()).await.unwrap()),
        [newer.generation, 1]
    );
    let back = running.roll_back(module(), None, "cli:eve").await.unwrap();
    assert!(back.generation > newer.generation);
    let by = |history: Vec<StoredSource>| {
        history
            .into_iter()
            .map(|it| it.deployed_by.unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(by(running.history(module()).await.unwrap()), ["cli:eve", "bob", "ann"]);
    assert_eq!(std::fs::read(dir.path().join("shop.py")).unwrap(), b"# service");
    running
        .roll_back(module(), Some(newer.generation), "eve")
        .await
        .unwrap();
    assert_eq!(std::fs::read(dir.path().join("shop.py")).unwrap(), b"# newer");
    running.roll_back(module(), Some(1), "eve").await.unwrap();
    for (module, generation) in [("shop", Some(99)), ("nobody", None)] {
        let failure = running.roll_back(module.into(), generation, "eve").await.unwrap_err();
        assert_eq!(failure.kind, Kind::NotFound, "{failure}");
    }

    let failure = running
        .deploy("shop.py".into(), b"raise".to_vec(), "ann")
        .await
        .unwrap_err();
    assert_eq!(failure.kind, Kind::Service);
    let files: Vec<_> = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|it| it.unwrap().file_name())
        .collect();
    assert_eq!(files, ["shop.py"], "nothing is left behind");
    assert_eq!(
        std::fs::read(dir.path().join("shop.py")).unwrap(),
        b"# service",
        "what is broken never gets there"
    );

    let invoke = |name: &str, body: &str| Invoke {
        name: name.into(),
        payload: body.into(),
        data_format: DataFormat::Json,
        headers: vec![("X-Test".into(), "1".into())],
        timeout_secs: Some(3),
        ..Invoke::default()
    };
    let invoked = running.invoke(invoke("shop.run", "hello")).await.unwrap();
    assert_eq!((invoked.status, invoked.body), (201, "hello".into()));
    assert_eq!(
        invoked.headers,
        [
            ("Content-Type".into(), "text/plain".into()),
            ("X".to_owned(), "y".to_owned())
        ]
    );
    let refused = running.invoke(invoke("shop.run", "refuse")).await.unwrap();
    let body: serde_json::Value = serde_json::from_slice(&refused.body.0).unwrap();
    assert_eq!(
        (refused.status, body),
        (
            400,
            json!({"result": "Error", "cid": refused.cid, "details": "Element missing: a"})
        )
    );
    assert_eq!(
        echo.0.lock().unwrap()[0].timeout,
        Some(std::time::Duration::from_secs(3))
    );
    let error = running.invoke(invoke("shop.gone", "")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);

    // together: one that is broken does not keep the others from being served, and never gets into the directory
    let file = |file_name: &str, text: &str| SourceFile {
        file_name: file_name.into(),
        text: text.into(),
    };
    let together = vec![
        file("bank.py", "# service"),
        file("broken.py", "raise"),
        file("shop.py", "# service"),
    ];
    let DeployedFiles {
        generation,
        deployed,
        failed,
    } = running.deploy_all(together, "ann").await.unwrap();
    assert!(generation.is_some());
    let names: Vec<_> = deployed
        .iter()
        .map(|it| (it.file_name.as_str(), it.is_unchanged))
        .collect();
    assert_eq!(names, [("bank.py", false), ("shop.py", true)]);
    assert_eq!(deployed[0].services, ["bank.run"]);
    assert_eq!((failed.len(), failed[0].file_name.as_str()), (1, "broken.py"));
    assert!(dir.path().join("bank.py").exists() && !dir.path().join("broken.py").exists());
    let twice = vec![file("bank.py", "# service"), file("bank.pyw", "# service")];
    assert_eq!(
        running.deploy_all(twice, "ann").await.unwrap_err().kind,
        Kind::BadRequest
    );

    // a directory that is missing is made again; one where a file stands cannot be
    let place = dir.path().to_owned();
    dir.close().unwrap();
    std::fs::write(&place, "").unwrap();
    let failure = running
        .deploy("late.py".into(), b"# service".to_vec(), "ann")
        .await
        .unwrap_err();
    std::fs::remove_file(place).unwrap();
    assert_eq!(failure.kind, Kind::Config);
    assert_eq!(running.list().len(), 2, "what cannot be kept is not deployed");
}
