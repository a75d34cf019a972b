//! Reads one pay date, or one transaction of it, without a lake.

use arrow_array::RecordBatch;
use chrono::{NaiveDate, SubsecRound as _};
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::cookiepay::body::BodyReader;
use crate::cookiepay::client::{ArrivedResponse, Client};
use crate::cookiepay::decode::TextReader;
use crate::cookiepay::envelope;
use crate::cookiepay::error::ReadError;
use crate::cookiepay::redact::Redactor;
use crate::cookiepay::retry::Attempted;
use crate::engine::failure::{Failure, FailureKind};
use crate::settlement::batch::{BatchBuilder, DayContext};

/// Rows to look up.
#[derive(Debug, Clone, Copy)]
pub struct Lookup<'a> {
    /// The pay date.
    pub pay_date: NaiveDate,
    /// The PG's transaction number, if only one transaction is wanted.
    pub transaction_id: Option<&'a str>,
    /// Result codes that mean "no rows".
    pub empty_codes: &'a [String],
}

/// A lookup that failed.
#[derive(Debug, Clone)]
pub struct LookupFailed {
    /// Why.
    pub failure: Failure,
    /// Attempts made.
    pub attempts: u32,
}

impl Lookup<'_> {
    /// Fetches the rows, as batches of the table.
    ///
    /// # Errors
    /// The last attempt's failure; one row that cannot be read refuses them all.
    pub async fn run(self, client: &Client) -> Result<Vec<RecordBatch>, LookupFailed> {
        self.fold(client, Vec::push).await
    }

    /// Counts the rows, without holding them.
    ///
    /// # Errors
    /// As for [`Lookup::run`].
    pub async fn count(self, client: &Client) -> Result<u64, LookupFailed> {
        self.fold(client, |rows: &mut u64, batch| *rows += batch.num_rows() as u64).await
    }

    async fn fold<T: Default + Send + 'static>(self, client: &Client, add: fn(&mut T, RecordBatch)) -> Result<T, LookupFailed> {
        let read = client.settlement(self.pay_date, self.transaction_id, async |response| self.read(client, response, add).await);
        let Attempted { attempts, outcome } = read.await;
        outcome.map_err(|error| LookupFailed { failure: error.into(), attempts })
    }

    async fn read<T: Default + Send + 'static>(
        self,
        client: &Client,
        response: ArrivedResponse,
        add: fn(&mut T, RecordBatch),
    ) -> Result<T, ReadError<Failure>> {
        let (body, events) = mpsc::channel(16);
        let context = DayContext {
            merchant_id: client.api_id().to_owned(),
            pay_date: self.pay_date,
            extracted_at: response.arrived.trunc_subsecs(3),
            run_id: Uuid::now_v7().to_string(),
        };
        let (charset, limit, empty_codes, secrets) = (response.charset, response.limit, self.empty_codes.to_vec(), response.redactor);
        let reader = tokio::task::spawn_blocking(move || {
            let text = TextReader::new(BodyReader::new(events, None), charset, limit)?;
            fold(text, context, &empty_codes, &secrets, add)
        });
        let ((), read) = tokio::join!(response.body.pump(body), reader);
        read.unwrap_or_else(|panic| Err(Failure::internal(panic).into()))
    }
}

fn fold<T: Default>(
    text: TextReader,
    context: DayContext,
    empty_codes: &[String],
    secrets: &Redactor,
    add: fn(&mut T, RecordBatch),
) -> Result<T, ReadError<Failure>> {
    let mut builder = BatchBuilder::new(context);
    let mut folded = T::default();
    let mut bad = None;
    envelope::read(text, empty_codes, |position, row| {
        if let Err(error) = builder.push(position, &row.source) {
            bad.get_or_insert_with(|| error.shown(|text| secrets.whole(text)));
        }
        if builder.is_full() {
            add(&mut folded, builder.take().map_err(Failure::internal)?);
        }
        Ok(())
    })?;
    if let Some(error) = bad {
        return Err(Failure::new(FailureKind::Contract, error).into());
    }
    add(&mut folded, builder.take().map_err(Failure::internal)?);
    Ok(folded)
}
