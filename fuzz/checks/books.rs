//! Files of merchants and banks: any bytes are read or refused, alike each time, and what is refused is named by its file.

use cookiepay_etl::reconcile::books::Meaning;
use cookiepay_etl::reconcile::files::{self, Books, BooksError, FileOptions};

pub(crate) fn check(bytes: &[u8]) {
    let path = std::env::temp_dir().join(format!("cookiepay-etl-fuzz-{}-{:?}", std::process::id(), std::thread::current().id()));
    std::fs::write(&path, bytes).expect("the folder of temporary files takes one");
    let name = path.display().to_string();
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let read = |orders: bool, are: Option<Meaning>| -> Result<Books, BooksError> {
        let options = FileOptions { orders_are: are, ..FileOptions::default() };
        let named = [name.clone()];
        let (orders, deposits) = if orders { (&named[..], &[][..]) } else { (&[][..], &named[..]) };
        runtime.block_on(files::read(orders, deposits, &options))
    };
    let first = read(true, None);
    for (orders, are) in [(true, None), (true, Some(Meaning::Events)), (true, Some(Meaning::Totals)), (false, None)] {
        match read(orders, are) {
            Ok(books) => {
                if orders && are.is_none() {
                    assert_eq!(format!("{books:?}"), format!("{:?}", first.as_ref().expect("it was read before")));
                }
                if let Some(orders) = books.orders {
                    assert!(orders.lines.iter().all(|line| line.order_no.is_some() || line.transaction_id.is_some()));
                    assert!(are.is_none() || orders.are == are);
                }
                if let Some(deposits) = books.deposits {
                    assert!(deposits.lines.iter().all(|deposit| deposit.amount > 0));
                }
            }
            Err(error) => {
                if orders && are.is_none() {
                    assert_eq!(error.to_string(), first.as_ref().expect_err("it was refused before").to_string());
                }
                assert!(error.to_string().contains(&name), "{error} names no file");
                assert_eq!(error.exit_code().number(), 2, "{error}");
            }
        }
    }
    // another input may have taken its place, which is as well
    let _ = std::fs::remove_file(&path);
}
