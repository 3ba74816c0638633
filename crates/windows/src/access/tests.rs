use super::*;

const ANA: &str = "S-1-5-21-1-2-3-1001";
const TASK: &str = "S-1-5-21-1-2-3-1002";
const TEAM: &str = "S-1-5-21-1-2-3-1100";
const USERS: &str = "S-1-5-32-545";

fn account(sid: &str) -> Account {
    let (name, kind) = match sid {
        ANA => (Some("CONTOSO\\ana"), AccountKind::Single),
        TASK => (Some("CONTOSO\\svc-csc"), AccountKind::Single),
        TEAM => (Some("CONTOSO\\Analysts"), AccountKind::Group),
        _ => (None, AccountKind::Unknown),
    };
    Account {
        sid: sid.into(),
        name: name.map(str::to_string),
        kind,
    }
}

fn allow(sid: &str, mask: u32) -> Entry {
    Entry {
        kind: EntryKind::Allow,
        mask,
        inherited: false,
        for_content_only: false,
        account: account(sid),
    }
}

fn deny(sid: &str, mask: u32) -> Entry {
    Entry {
        kind: EntryKind::Deny,
        ..allow(sid, mask)
    }
}

fn inherited(entry: Entry) -> Entry {
    Entry {
        inherited: true,
        ..entry
    }
}

fn list(entries: Vec<Entry>) -> AccessList {
    AccessList {
        owner: account(ANA),
        entries: Some(entries),
    }
}

/// FILE_ALL_ACCESS, FILE_GENERIC_READ with FILE_EXECUTE, and Modify.
const FULL: u32 = 0x1F_01FF;
const READ: u32 = 0x12_00A9;
const MODIFY: u32 = 0x13_01BF;

fn told(list: &AccessList, us: &str, target: Target) -> Vec<String> {
    list.others(&account(us), target)
        .iter()
        .map(|other| {
            format!(
                "{}{}{}",
                other.account.shown(),
                if other.may_read { " reads" } else { "" },
                if other.may_change { " changes" } else { "" }
            )
        })
        .collect()
}

#[test]
fn the_owner_system_and_administrators_are_no_others() {
    let ours = list(vec![
        allow(ANA, FULL),
        allow("S-1-5-18", FULL),
        allow("S-1-5-32-544", FULL),
        inherited(allow("S-1-5-21-9-9-9-512", FULL)),
        inherited(allow("S-1-3-0", FULL)),
    ]);
    assert_eq!(told(&ours, ANA, Target::File), Vec::<String>::new());
    // To the task's account its owner is no other either.
    let task = list(vec![allow(ANA, FULL), allow(TASK, READ)]);
    assert_eq!(told(&task, TASK, Target::File), Vec::<String>::new());
}

#[test]
fn broad_groups_are_named_even_where_windows_does_not_tell() {
    for (sid, name) in [
        ("S-1-1-0", "Everyone"),
        (USERS, "Users"),
        ("S-1-5-11", "Authenticated Users"),
    ] {
        let exposed = list(vec![allow(ANA, FULL), inherited(allow(sid, READ))]);
        assert_eq!(
            told(&exposed, ANA, Target::File),
            [format!("{name} reads")],
            "{sid}"
        );
    }
}

#[test]
fn an_account_let_in_by_name_is_meant_so_and_a_group_is_not() {
    assert_eq!(
        told(&list(vec![allow(TASK, MODIFY)]), ANA, Target::File),
        Vec::<String>::new()
    );
    assert_eq!(
        told(&list(vec![allow(TEAM, READ)]), ANA, Target::File),
        ["CONTOSO\\Analysts reads"]
    );
    // Whom Windows cannot tell may be anybody.
    assert_eq!(
        told(
            &list(vec![allow("S-1-5-21-7-7-7-1", READ)]),
            ANA,
            Target::File
        ),
        ["S-1-5-21-7-7-7-1 reads"]
    );
}

#[test]
fn each_right_that_opens_a_file_counts_and_no_other() {
    for (mask, expected) in [
        (0x1, Some("Users reads")),
        (0x8000_0000, Some("Users reads")),
        (0x1000_0000, Some("Users reads changes")),
        (0x2, Some("Users changes")),
        (0x4, Some("Users changes")),
        (0x1_0000, Some("Users changes")),
        (0x4_0000, Some("Users changes")),
        (0x8_0000, Some("Users changes")),
        // Attributes, the right to pass through, to read the list, to wait.
        (0x80 | 0x100 | 0x20 | 0x2_0000 | 0x10_0000, None),
    ] {
        assert_eq!(
            told(&list(vec![allow(USERS, mask)]), ANA, Target::File),
            expected.into_iter().collect::<Vec<_>>(),
            "{mask:x}"
        );
    }
}

#[test]
fn what_was_denied_before_is_not_allowed_and_what_is_denied_after_is() {
    let before = list(vec![deny(USERS, READ), allow(USERS, FULL)]);
    assert_eq!(told(&before, ANA, Target::File), ["Users changes"]);
    let after = list(vec![allow(USERS, READ), deny(USERS, FULL)]);
    assert_eq!(told(&after, ANA, Target::File), ["Users reads"]);
    let everybody = list(vec![deny(EVERYONE, FULL), allow(TEAM, FULL)]);
    assert_eq!(told(&everybody, ANA, Target::File), Vec::<String>::new());
    let another = list(vec![deny(TEAM, FULL), allow(USERS, READ)]);
    assert_eq!(told(&another, ANA, Target::File), ["Users reads"]);
}

#[test]
fn what_a_folder_hands_down_counts_for_the_folder() {
    let handed_down = Entry {
        for_content_only: true,
        ..allow(USERS, READ)
    };
    let folder = list(vec![allow(ANA, FULL), handed_down]);
    assert_eq!(told(&folder, ANA, Target::Folder), ["Users reads"]);
    assert_eq!(told(&folder, ANA, Target::File), Vec::<String>::new());
    let kept_from_files = Entry {
        for_content_only: true,
        ..deny(USERS, FULL)
    };
    let folder = list(vec![kept_from_files, allow(USERS, READ)]);
    assert_eq!(told(&folder, ANA, Target::Folder), ["Users reads"]);
}

#[test]
fn no_list_at_all_is_open_to_everyone() {
    let none = AccessList {
        owner: account(ANA),
        entries: None,
    };
    assert_eq!(told(&none, ANA, Target::File), ["Everyone reads changes"]);
    assert_eq!(
        told(&list(Vec::new()), ANA, Target::File),
        Vec::<String>::new()
    );
}

#[test]
fn the_command_names_whom_it_leaves_in_and_takes_out_what_stands_at_the_file() {
    let exposed = list(vec![
        allow(ANA, FULL),
        allow(EVERYONE, READ),
        inherited(allow(USERS, READ)),
    ]);
    let mended = |us: &str, target, path: &str| {
        let us = account(us);
        let others = exposed.others(&us, target);
        exposed.mend(&us, &others, target, Path::new(path))
    };
    assert_eq!(
        mended(ANA, Target::File, r"C:\csc sender\.env"),
        r#"icacls "C:\csc sender\.env" /inheritance:r /grant:r "CONTOSO\ana:F" "*S-1-5-18:F" "*S-1-5-32-544:F" /remove:g "*S-1-1-0""#
    );
    assert_eq!(
        mended(TASK, Target::Folder, r"C:\a$b"),
        r#"icacls 'C:\a$b' /inheritance:r /grant:r "CONTOSO\svc-csc:(OI)(CI)F" "CONTOSO\ana:(OI)(CI)F" "*S-1-5-18:(OI)(CI)F" "*S-1-5-32-544:(OI)(CI)F" /remove:g "*S-1-1-0""#
    );
    let handed_down = list(vec![
        inherited(allow(TASK, MODIFY)),
        inherited(allow(TASK, READ)),
        inherited(deny(TEAM, READ)),
        inherited(allow(USERS, READ)),
    ]);
    let us = account(ANA);
    let others = handed_down.others(&us, Target::File);
    assert_eq!(
        handed_down.mend(&us, &others, Target::File, Path::new(r"C:\.env")),
        r#"icacls "C:\.env" /inheritance:r /grant:r "CONTOSO\ana:F" "*S-1-5-18:F" "*S-1-5-32-544:F" "CONTOSO\svc-csc:M""#
    );
    let managed = Account {
        name: Some("CONTOSO\\svc$".into()),
        ..account(TASK)
    };
    assert_eq!(written(&managed), format!("*{TASK}"));
}
