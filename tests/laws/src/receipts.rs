use csc_receiver::{Receipt, ReceiptFault};

use crate::first_line;

/// A first line with the number of records sent, then the body of an accepting reply.
///
/// - As many receipts as records, or a fault.
/// - A receipt's id is a uuid in lower case, and its time one that every database can hold.
/// - Written again, as a JSON array, as JSON text and as plain text, they are the same.
/// - A fault names a place that there is, and quotes nothing.
pub fn receipts(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (number, body) = first_line(&text);
    let sent = number.trim().parse::<usize>().unwrap_or(1).min(100);
    match csc_receiver::receipts(body.as_bytes(), sent) {
        Ok(list) => {
            assert_eq!(list.len(), sent);
            list.iter().for_each(is_sound);
            let names: Vec<String> = list.iter().map(name).collect();
            let plain = names.join(" ");
            let json = serde_json::to_string(&names).unwrap();
            let json_text = serde_json::to_string(&names.join("\n")).unwrap();
            for again in [plain, json, json_text] {
                let read = csc_receiver::receipts(again.as_bytes(), sent);
                assert_eq!(read.as_ref(), Ok(&list), "{again}");
            }
        }
        Err(ReceiptFault::Count { expected, found }) => {
            assert_eq!(expected, sent);
            assert_ne!(found, sent);
        }
        Err(ReceiptFault::Form { ordinal }) => assert!((1..=sent).contains(&ordinal)),
    }
}

fn is_sound(receipt: &Receipt) {
    let is_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    assert_eq!(receipt.uuid.len(), 36);
    for (n, b) in receipt.uuid.bytes().enumerate() {
        let is_hyphen = matches!(n, 8 | 13 | 18 | 23);
        assert!(if is_hyphen { b == b'-' } else { is_hex(b) });
    }
    // SQL Server's DATETIME begins in 1753.
    assert!((1753..=9999).contains(&receipt.at.year()), "{}", receipt.at);
}

fn name(receipt: &Receipt) -> String {
    let (date, time) = (receipt.at.date(), receipt.at.time());
    format!("{date}_{time}_{}.json", receipt.uuid.to_uppercase())
}
