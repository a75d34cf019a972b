//! Writes a file of the table for a part of a month, as a stream: one row group is in memory.
//!
//! Days that the table holds already are taken from its own file, if their rows still are what its day list states: a daily run then
//! reads one file of a month instead of thirty. All others come from their day files.

use std::fs::File;

use chrono::NaiveDate;
use futures::{StreamExt as _, TryStreamExt as _};
use parquet::errors::ParquetError;
use tokio::sync::mpsc;

use crate::lake::backend::Fetched;
use crate::lake::error::LakeError;
use crate::lake::file::{read_end, read_rows};
use crate::lake::layout::{DayKey, delta_path};
use crate::lake::staged::StagingWriter;
use crate::lake::store::Lake;
use crate::settlement::columns::SchemaFit;

use super::error::DeltaError;
use super::file::{HeldDay, PackedDay, TableFile};
use super::plan::Part;
use super::read::{DaysOfFile, NotTaken, fetch};
use super::schema::to_delta;
use super::stats::Stats;
use super::writer::PartWriter;

/// Day files that are opened ahead.
const AHEAD: usize = 8;

/// Why a part was not packed.
#[derive(Debug)]
pub(super) enum Unpacked {
    /// Another run has replaced or removed one of its days meanwhile.
    Moved(NaiveDate),
    Failed(DeltaError),
}

/// Why a part's file was not written.
enum Unwritten {
    /// A file of the table is not what its day list states.
    Unlike {
        object: String,
        reason: String,
    },
    Unpacked(Unpacked),
}

impl<E: Into<Unpacked>> From<E> for Unwritten {
    fn from(error: E) -> Self {
        Self::Unpacked(error.into())
    }
}

impl From<LakeError> for Unpacked {
    fn from(error: LakeError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<ParquetError> for Unpacked {
    fn from(error: ParquetError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<DeltaError> for Unpacked {
    fn from(error: DeltaError) -> Self {
        Self::Failed(error)
    }
}

/// Writes a part's file, where readers find it once a commit names it.
pub(super) async fn pack(lake: &Lake, part: &Part, run_id: &str, now_ms: i64) -> Result<TableFile, Unpacked> {
    let mut from = table_files(lake, part).await?;
    loop {
        match pack_from(lake, part, from, run_id, now_ms).await {
            Ok(packed) => return Ok(packed),
            Err(Unwritten::Unpacked(error)) => return Err(error),
            Err(Unwritten::Unlike { object, reason }) => {
                tracing::info!(object, reason, "a file of the Delta table is replaced from the day files");
                from = Vec::new();
            }
        }
    }
}

/// A file of the table that holds some of a part's days.
struct Opened {
    object: String,
    listed: Vec<PackedDay>,
    file: File,
}

/// Opens the files of the table that hold some of a part's days. One that cannot be opened is not needed.
async fn table_files(lake: &Lake, part: &Part) -> Result<Vec<Opened>, Unpacked> {
    let mut opened = Vec::new();
    for (table_file, listed) in &part.from {
        if let Ok(file) = fetch(lake, table_file).await? {
            opened.push(Opened { object: table_file.location().to_string(), listed: listed.clone(), file });
        }
    }
    Ok(opened)
}

async fn pack_from(lake: &Lake, part: &Part, from: Vec<Opened>, run_id: &str, now_ms: i64) -> Result<TableFile, Unwritten> {
    let target = delta_path(&part.name);
    let packed: Vec<&PackedDay> = part.days.iter().map(|held| &held.day).collect();
    let list = serde_json::to_string(&packed).map_err(|error| ParquetError::External(Box::new(error)))?;
    let sources: Vec<(HeldDay, Option<usize>)> = with_sources(part, &from).collect();
    let (send, receive) = mpsc::channel(1);
    let writes = Writes { part: part.clone(), sources: sources.clone(), from, opened: receive };
    let footer = list.clone();
    let written = lake.write_staged(target.clone(), run_id, move |out| writes.write(footer, out));
    let of_day_files = sources.into_iter().filter(|(_, from)| from.is_none()).map(|(held, _)| held);
    // a reader that ends early drops the sender, and the writer then ends as well
    let (fetched, written) = tokio::join!(fetch_days(lake, part, of_day_files, send), written);
    let (staged, stats) = match (fetched, written) {
        (Ok(()), written) => written?,
        (Err(error), Ok((staged, _))) => {
            staged.discard().await;
            return Err(error.into());
        }
        (Err(error), Err(_)) => return Err(error.into()),
    };
    let bytes = staged.bytes();
    lake.publish_by_name(&target, staged).await?;
    Ok(TableFile {
        name: part.name.clone(),
        merchant: part.merchant.clone(),
        month: part.month,
        bytes,
        modified_ms: now_ms,
        stats: stats.to_json(),
        days: list,
    })
}

/// The days with rows, and which file of the table holds each as it is; the others come from their day files.
fn with_sources(part: &Part, from: &[Opened]) -> impl Iterator<Item = (HeldDay, Option<usize>)> {
    let with_rows = part.days.iter().filter(|held| held.day.rows > 0);
    with_rows.map(|held| (held.clone(), from.iter().position(|opened| opened.listed.contains(&held.day))))
}

/// Opens day files, in their order.
async fn fetch_days(
    lake: &Lake,
    part: &Part,
    days: impl Iterator<Item = HeldDay>,
    send: mpsc::Sender<(HeldDay, File)>,
) -> Result<(), Unpacked> {
    let mut opened = futures::stream::iter(days)
        .map(async |held| {
            let location = DayKey { pay_date: held.day.pay_date, merchant: part.merchant.clone() }.settlement();
            match lake.fetch(&location).await {
                Ok(Some(Fetched { file, .. })) => Ok((held, file)),
                Ok(None) => Err(Unpacked::Moved(held.day.pay_date)),
                Err(error) => Err(match error.of_one_object() {
                    Some(reason) => day_failed(part, held.day.pay_date, format!("it cannot be read: {reason}")).into(),
                    None => error.into(),
                }),
            }
        })
        .buffered(AHEAD);
    while let Some(opened) = opened.try_next().await? {
        if send.send(opened).await.is_err() {
            // the writer has failed, and says why
            break;
        }
    }
    Ok(())
}

fn day_failed(part: &Part, pay_date: NaiveDate, reason: String) -> DeltaError {
    let object = DayKey { pay_date, merchant: part.merchant.clone() }.settlement().to_string();
    DeltaError::Day { month: part.month.to_string(), object, reason, is_guarded: false }
}

/// What is written into one file, on a thread of its own.
struct Writes {
    part: Part,
    /// The days with rows, and the file of the table among `from` that holds each.
    sources: Vec<(HeldDay, Option<usize>)>,
    from: Vec<Opened>,
    /// The day files of the others, in their order.
    opened: mpsc::Receiver<(HeldDay, File)>,
}

impl Writes {
    fn write(self, footer: String, out: StagingWriter) -> Result<Stats, Unwritten> {
        let Self { part, sources, from, mut opened } = self;
        let mut kept = Vec::new();
        for Opened { object, listed, file } in from {
            match DaysOfFile::open(file, listed) {
                Ok(days) => kept.push((object, days)),
                Err(reason) => return Err(Unwritten::Unlike { object, reason }),
            }
        }
        let mut writer = PartWriter::new(out, sources.iter().map(|(held, _)| held.day.rows).sum())?;
        for (held, from) in &sources {
            match from.and_then(|from| kept.get_mut(from)) {
                Some((object, days)) => days.take(held, |rows| writer.add(rows)).map_err(|error| match error {
                    NotTaken::Unlike(reason) => Unwritten::Unlike { object: object.clone(), reason },
                    NotTaken::Unwritten(error) => error.into(),
                })?,
                None => match opened.blocking_recv() {
                    Some((held, file)) => add_day(&part, &held, file, &mut writer)?,
                    // opening it has failed, and its error is the one that is reported
                    None => break,
                },
            }
        }
        Ok(writer.finish(footer)?)
    }
}

/// Adds the rows of a day file, if it is the version that was meant.
fn add_day(part: &Part, held: &HeldDay, file: File, writer: &mut PartWriter) -> Result<(), Unpacked> {
    let pay_date = held.day.pay_date;
    let failed = |reason: String| day_failed(part, pay_date, reason);
    let guarded = |reason: String| match day_failed(part, pay_date, reason) {
        DeltaError::Day { month, object, reason, .. } => DeltaError::Day { month, object, reason, is_guarded: true },
        other => other,
    };
    let (record, fit) =
        read_end(&file).map_err(|reason| failed(format!("it has no readable day record: {reason}: fetch the day with backfill")))?;
    if fit == SchemaFit::Other {
        return Err(guarded("its columns are not the ones of this version's schema: rewrite it with rebuild".into()).into());
    }
    if (DayKey { pay_date, merchant: part.merchant.clone() }).misplaced(&record).is_some() {
        return Err(guarded("it is the file of another day: find out how it got that name, and remove it".into()).into());
    }
    if (record.extracted_at, &record.digest, &record.run_id) != (held.day.extracted_at, &held.day.digest, &held.run_id) {
        return Err(Unpacked::Moved(pay_date));
    }
    let (mut rows, mut unwritten) = (0, None);
    let read = read_rows(file, |batch| {
        rows += batch.num_rows() as u64;
        to_delta(pay_date, batch).map_err(ParquetError::from).and_then(|batch| writer.add(batch)).map_err(|error| {
            let shown = ParquetError::General(error.to_string());
            unwritten = Some(error);
            shown
        })
    });
    match (read, unwritten) {
        (Err(_), Some(error)) => Err(error.into()),
        (Err(error), None) => Err(failed(format!("its rows cannot be read: {error}: fetch the day with backfill")).into()),
        (Ok(()), _) if rows != record.rows => {
            Err(failed(format!("it has {rows} rows, and its record states {}: fetch the day with backfill", record.rows)).into())
        }
        (Ok(()), _) => Ok(()),
    }
}
