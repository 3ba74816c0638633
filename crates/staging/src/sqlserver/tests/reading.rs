//! Reading: what is tried again, and what a page is.

use super::*;

#[tokio::test]
async fn a_page_whose_connection_is_cut_is_read_again_on_a_new_one() {
    let times = AtomicUsize::new(0);
    let double = Double::start(Door::Open, move |asked| {
        usual(asked).unwrap_or_else(|| after(&times, &[Answer::Cut, Answer::Cut], a_row()))
    })
    .await;
    let store = store(&double).await;
    let standstill = store.standstill();
    let page = store.page(a_page(), &Superseded::default()).await.unwrap();
    assert_eq!(page.len(), 1);
    assert_eq!(
        page[0].payload.as_deref(),
        Some("{\"la_child_id\": \"C1\"}")
    );
    assert_eq!(double.connections(), 4, "two at first, and two anew");
    assert!(standstill.has_changed().unwrap(), "it was told of");
    assert_eq!(*standstill.borrow(), None, "and that it is over");
    assert_eq!(
        double.heard("SET ANSI_NULLS"),
        [1, 2, 3, 4],
        "every session is told its settings"
    );
}

#[tokio::test]
async fn a_connection_that_is_always_cut_ends_in_words_after_its_tries() {
    let double = Double::start(Door::Open, |asked| usual(asked).unwrap_or(Answer::Cut)).await;
    let error = store(&double)
        .await
        .page(a_page(), &Superseded::default())
        .await
        .err()
        .unwrap();
    assert_eq!(error.kind, StoreErrorKind::Connection);
    assert_eq!(error.message.code(), 340, "{error}");
    for words in ["5 tries in", "did not bring it back", "was lost"] {
        assert!(error.message.why().contains(words), "{error}");
    }
    assert!(error.message.next().contains("journal"), "{error}");
    assert_eq!(double.connections(), 2 + QUICK.lost.len());
}

#[tokio::test]
async fn a_server_that_stays_away_is_told_with_its_place_and_how_often_it_was_tried() {
    let double = Double::start(Door::Open, |asked| usual(asked).unwrap_or_else(a_row)).await;
    let store = store(&double).await;
    store.page(a_page(), &Superseded::default()).await.unwrap();
    let standstill = store.standstill();
    double.stop().await;
    let error = store
        .page(a_page(), &Superseded::default())
        .await
        .err()
        .unwrap();
    assert_eq!(error.kind, StoreErrorKind::Connection);
    assert_eq!(error.message.code(), 340, "{error}");
    assert!(error.message.what().contains("HDM_Local"), "{error}");
    assert!(error.message.why().contains("5 tries in"), "{error}");
    let waited = standstill.borrow().clone().unwrap();
    assert!(
        waited.why.starts_with("the database is gone: "),
        "{waited:?}"
    );
    assert_eq!(waited.patience, QUICK.lost.iter().sum::<Duration>());
}

#[tokio::test]
async fn a_deadlock_and_a_lock_that_is_not_given_are_tried_again() {
    let times = AtomicUsize::new(0);
    let double = Double::start(Door::Open, move |asked| {
        let blocked = [
            Answer::Error(1205, 13, "Transaction was deadlocked"),
            Answer::Error(1222, 16, "Lock request time out period exceeded."),
        ];
        usual(asked).unwrap_or_else(|| after(&times, &blocked, a_row()))
    })
    .await;
    assert_eq!(
        store(&double)
            .await
            .page(a_page(), &Superseded::default())
            .await
            .unwrap()
            .len(),
        1
    );
    assert_eq!(
        double.connections(),
        2,
        "the connection is as good as before"
    );

    let always = Double::start(Door::Open, |asked| {
        usual(asked).unwrap_or(Answer::Error(1205, 13, "Transaction was deadlocked"))
    })
    .await;
    let error = store(&always)
        .await
        .page(a_page(), &Superseded::default())
        .await
        .err()
        .unwrap();
    assert_eq!(error.kind, StoreErrorKind::Statement);
    assert!(error.message.why().contains("1205"), "{error}");
    assert!(error.message.next().contains("what blocks them"), "{error}");
    assert_eq!(always.heard("FROM [dbo]").len(), 1 + QUICK.blocked.len());
}

#[tokio::test]
async fn a_lock_that_is_waited_for_is_told_of_and_a_deadlock_is_not() {
    let store_that_meets = async |first: Answer| {
        let times = AtomicUsize::new(0);
        let double = Double::start(Door::Open, move |asked| {
            let first = std::slice::from_ref(&first);
            usual(asked).unwrap_or_else(|| after(&times, first, a_row()))
        })
        .await;
        (store(&double).await, double)
    };
    let none = Superseded::default();
    let timeout = Answer::Error(1222, 16, "Lock request time out period exceeded.");
    let (waiting, _double) = store_that_meets(timeout).await;
    let mut standstill = waiting.standstill();
    let told = async {
        standstill.changed().await.unwrap();
        standstill.borrow_and_update().clone()
    };
    let (page, told) = tokio::join!(waiting.page(a_page(), &none), told);
    assert_eq!(page.unwrap().len(), 1);
    let told = told.unwrap();
    assert!(
        told.why
            .starts_with("another session holds what is asked for: Lock request time out"),
        "{told:?}"
    );
    // Two more tries, each of which the server lets wait for half a minute.
    let pauses: Duration = QUICK.blocked.iter().sum();
    assert_eq!(told.patience, pauses + 2 * super::super::connect::LOCK_WAIT);
    assert!(standstill.has_changed().unwrap());
    assert_eq!(*standstill.borrow(), None, "it is over");

    let deadlock = Answer::Error(1205, 13, "Transaction was deadlocked");
    let (gives_way, _double) = store_that_meets(deadlock).await;
    let standstill = gives_way.standstill();
    gives_way.page(a_page(), &none).await.unwrap();
    assert!(!standstill.has_changed().unwrap());
}

#[tokio::test]
async fn a_right_that_is_missing_is_not_asked_for_again_and_names_the_grant() {
    let double = Double::start(Door::Open, |asked| {
        usual(asked).unwrap_or(Answer::Error(
            229,
            14,
            "The SELECT permission was denied on the object 'ssd_api_data_staging_anon'.",
        ))
    })
    .await;
    let error = store(&double)
        .await
        .page(a_page(), &Superseded::default())
        .await
        .err()
        .unwrap();
    assert_eq!(
        (error.kind, error.message.code()),
        (StoreErrorKind::Statement, 303)
    );
    assert!(
        error.message.next().contains("GRANT SELECT, UPDATE"),
        "{error}"
    );
    assert_eq!(double.heard("FROM [dbo]").len(), 1);
}

#[tokio::test]
async fn a_servers_fatal_error_is_a_lost_connection() {
    let times = AtomicUsize::new(0);
    let double = Double::start(Door::Open, move |asked| {
        let killed = Answer::Error(596, 21, "Cannot continue the execution.");
        usual(asked).unwrap_or_else(|| after(&times, &[killed], a_row()))
    })
    .await;
    assert_eq!(
        store(&double)
            .await
            .page(a_page(), &Superseded::default())
            .await
            .unwrap()
            .len(),
        1
    );
    assert_eq!(double.connections(), 3);
}

#[tokio::test]
async fn a_statement_without_an_answer_is_given_up_and_its_connection_not_used_again() {
    let times = AtomicUsize::new(0);
    let double = Double::start(Door::Open, move |asked| {
        usual(asked).unwrap_or_else(|| after(&times, &[Answer::Silence], a_row()))
    })
    .await;
    let hurried = Patience {
        statement: Duration::from_secs(1),
        ..QUICK
    };
    let store = patient_store_on(&target(&double, ""), hurried)
        .await
        .unwrap();
    store.shape().await.unwrap();
    let error = store
        .page(a_page(), &Superseded::default())
        .await
        .err()
        .unwrap();
    assert_eq!(
        (error.kind, error.message.code()),
        (StoreErrorKind::Connection, 310)
    );
    assert_eq!(
        store
            .page(a_page(), &Superseded::default())
            .await
            .unwrap()
            .len(),
        1
    );
    assert_eq!(double.connections(), 3);
}

#[tokio::test]
async fn a_caller_that_stops_waiting_leaves_no_half_read_connection_behind() {
    let times = AtomicUsize::new(0);
    let double = Double::start(Door::Open, move |asked| {
        usual(asked).unwrap_or_else(|| after(&times, &[Answer::Silence], a_row()))
    })
    .await;
    let store = store(&double).await;
    store.shape().await.unwrap();
    let none = Superseded::default();
    tokio::select! {
        page = store.page(a_page(), &none) => panic!("answered: {}", page.is_ok()),
        () = async { while double.heard("FROM [dbo]").is_empty() { tokio::task::yield_now().await } } => {}
    }
    assert_eq!(
        store
            .page(a_page(), &Superseded::default())
            .await
            .unwrap()
            .len(),
        1
    );
    assert_eq!(double.connections(), 3);
}

#[tokio::test]
async fn a_server_that_cannot_hash_a_long_text_is_refused_before_anything_is_sent() {
    for answer in [
        Answer::Rows(vec![vec![Cell::Bytes(vec![1; 32])]]),
        Answer::Error(8152, 16, "String or binary data would be truncated."),
    ] {
        let double = Double::start(Door::Open, move |asked| {
            if asked.has("SELECT HASHBYTES") {
                return answer.clone();
            }
            usual(asked).unwrap()
        })
        .await;
        let error = store(&double).await.shape().await.unwrap_err();
        assert_eq!(error.message.code(), 325, "{error}");
        assert!(error.message.next().contains("2016"), "{error}");
    }
}

#[tokio::test]
async fn a_payload_is_known_by_its_utf16_even_where_it_is_no_text() {
    let alone = 0xD83Du16.to_le_bytes().to_vec(); // half of a pair
    let whole: Vec<u8> = "{\"é\": \"😀\"}"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let (half, full) = (alone.clone(), whole.clone());
    let double = Double::start(Door::Open, move |asked| {
        usual(asked).unwrap_or_else(|| {
            Answer::Rows(vec![
                row(1, Cell::Text(Some(half.clone()))),
                row(2, Cell::Text(Some(full.clone()))),
                row(3, Cell::Text(None)),
            ])
        })
    })
    .await;
    let page = store(&double)
        .await
        .page(a_page(), &Superseded::default())
        .await
        .unwrap();
    let digest = |bytes: &[u8]| <[u8; 32]>::from(Sha256::digest(bytes));
    assert_eq!(page[0].payload, None);
    assert_eq!(page[0].key.digest, digest(&alone));
    assert_eq!(page[1].payload.as_deref(), Some("{\"é\": \"😀\"}"));
    assert_eq!(page[1].key.digest, digest(&whole));
    assert_eq!(page[2].payload, None);
    assert_eq!(page[2].key.digest, digest(b""));
}

#[tokio::test]
async fn a_page_ends_with_the_row_that_fills_it_in_bytes_of_utf8() {
    // Three bytes of UTF-8 each, and one unit of UTF-16, which is what the server counts.
    let double = Double::start(Door::Open, |asked| {
        usual(asked)
            .unwrap_or_else(|| Answer::Rows((1..=4).map(|id| row(id, text("日本"))).collect()))
    })
    .await;
    let mut request = a_page();
    for (bytes, expected) in [(1, 1), (6, 1), (7, 2), (13, 3), (24, 4), (1000, 4)] {
        request.limits.bytes = bytes;
        let page = store(&double)
            .await
            .page(request, &Superseded::default())
            .await
            .unwrap();
        assert_eq!(page.len(), expected, "{bytes}");
    }
}

#[tokio::test]
async fn an_answer_of_another_kind_is_an_error_and_no_empty_page() {
    let double = Double::start(Door::Open, |asked| {
        usual(asked).unwrap_or_else(|| Answer::Rows(vec![vec![text("what?")]]))
    })
    .await;
    let error = store(&double)
        .await
        .page(a_page(), &Superseded::default())
        .await
        .err()
        .unwrap();
    assert_eq!(
        (error.kind, error.message.code()),
        (StoreErrorKind::Statement, 303)
    );
}

/// What `check` says of the rights of a logon that has none, known in the database by this
/// name, which is a user's there or not.
async fn rights_of(user: &'static str, is_user: i64) -> Probe {
    let double = Double::start(Door::Open, move |asked| {
        if asked.has("sys.databases") {
            let number = |number| Cell::Number(Some(number));
            return Answer::Rows(vec![vec![
                number(130),
                number(1),
                text("HDM_Local"),
                text("LA\\svc-ssd"),
                text(user),
                number(is_user),
            ]]);
        }
        if asked.has("HAS_PERMS_BY_NAME") {
            return Answer::Rows(vec![vec![Cell::Number(Some(0)); 3]]);
        }
        usual(asked).unwrap()
    })
    .await;
    let probes = store(&double).await.examine().await.unwrap();
    let mut rights = probes.into_iter().filter(|p| p.subject == "rights");
    rights.next().unwrap()
}

#[tokio::test]
async fn rights_are_granted_to_the_logons_own_user_and_never_to_everybodys() {
    let grant = "GRANT SELECT, UPDATE ON [dbo].[ssd_api_data_staging_anon] TO";
    for (user, is_user, expected) in [
        ("ssd_sender", 1, format!("{grant} [ssd_sender];")),
        // In the database as one of a group.
        (
            "LA\\svc-ssd",
            0,
            format!("CREATE USER [LA\\svc-ssd];\n{grant} [LA\\svc-ssd];"),
        ),
        (
            "guest",
            1,
            format!("CREATE USER [LA\\svc-ssd];\n{grant} [LA\\svc-ssd];"),
        ),
    ] {
        let rights = rights_of(user, is_user).await;
        assert_eq!(rights.statement, Some(expected), "{user}");
    }
}
