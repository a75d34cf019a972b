//! A checkpoint: the state at one version as a Parquet file, from which readers begin instead of the first commit. Does no I/O.

use std::sync::Arc;

use arrow_array::builder::{MapBuilder, MapFieldNames, StringBuilder};
use arrow_array::cast::AsArray as _;
use arrow_array::types::{Int32Type, Int64Type};
use arrow_array::{Array, ArrayRef, BooleanArray, Int32Array, Int64Array, ListArray, MapArray, RecordBatch, StringArray, StructArray};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::{DataType, Field, Fields, Schema};
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

use super::action::{Action, Metadata, Tombstone, protocol, table_file};
use super::file::{DAYS_KEY, TableFile, decode_path, encode_path};
use super::snapshot::State;

/// Encodes a state. Tombstones older than `since_ms` are left out: their files are removed.
pub(super) fn encode(state: &State, since_ms: i64) -> Result<Vec<u8>, ParquetError> {
    let files: Vec<&TableFile> = state.files.values().collect();
    let tombstones: Vec<&Tombstone> = state.tombstones.values().filter(|tombstone| tombstone.removed_ms >= since_ms).collect();
    let rows = Rows { files: files.len(), tombstones: tombstones.len() };
    let columns = [
        ("protocol", rows.protocol(state.protocol.unwrap_or_default())),
        ("metaData", rows.metadata(state.metadata.as_ref())),
        ("add", rows.add(&files)),
        ("remove", rows.remove(&tombstones)),
    ];
    let fields: Fields = columns.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), true)).collect();
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns.into_iter().map(|(_, array)| array).collect())?;
    let properties = WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?)).build();
    let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
    let mut writer = ArrowWriter::try_new_with_options(Vec::new(), batch.schema(), options)?;
    writer.write(&batch)?;
    writer.into_inner()
}

/// Where the actions are: the protocol, the metadata, then files and tombstones.
struct Rows {
    files: usize,
    tombstones: usize,
}

impl Rows {
    fn len(&self) -> usize {
        2 + self.files + self.tombstones
    }

    /// A column's values, of actions that begin at a row; the others are NULL.
    fn spread<T>(&self, from: usize, values: impl Iterator<Item = T>) -> Vec<Option<T>> {
        let mut column: Vec<Option<T>> = (0..from).map(|_| None).collect();
        column.extend(values.map(Some));
        column.resize_with(self.len(), || None);
        column
    }

    fn strings<'a>(&self, from: usize, values: impl Iterator<Item = Option<&'a str>>) -> ArrayRef {
        Arc::new(self.spread(from, values).into_iter().map(Option::flatten).collect::<StringArray>())
    }

    fn numbers(&self, from: usize, values: impl Iterator<Item = Option<i64>>) -> ArrayRef {
        Arc::new(self.spread(from, values).into_iter().map(Option::flatten).collect::<Int64Array>())
    }

    fn flags(&self, from: usize, count: usize) -> ArrayRef {
        Arc::new(BooleanArray::from(self.spread(from, std::iter::repeat_n(true, count))))
    }

    /// Maps with these entries, at most one each.
    fn maps<'a>(&self, from: usize, values: impl Iterator<Item = Vec<(&'a str, &'a str)>>) -> ArrayRef {
        let names = MapFieldNames { entry: "key_value".into(), key: "key".into(), value: "value".into() };
        let mut maps = MapBuilder::new(Some(names), StringBuilder::new(), StringBuilder::new());
        for entries in self.spread(from, values) {
            for (key, value) in entries.iter().flatten() {
                maps.keys().append_value(key);
                maps.values().append_value(value);
            }
            // the builder fails only if keys and values differ in number
            let _ = maps.append(entries.is_some());
        }
        Arc::new(maps.finish())
    }

    /// The column of one kind of action.
    fn actions(&self, from: usize, count: usize, columns: Vec<(&str, ArrayRef)>) -> ArrayRef {
        let fields: Fields = columns.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), true)).collect();
        let present: NullBuffer = (0..self.len()).map(|row| (from..from + count).contains(&row)).collect::<Vec<_>>().into();
        Arc::new(StructArray::new(fields, columns.into_iter().map(|(_, array)| array).collect(), Some(present)))
    }

    fn protocol(&self, (reader, writer): (i32, i32)) -> ArrayRef {
        let number = |version: i32| Arc::new(Int32Array::from(self.spread(0, std::iter::once(version)))) as ArrayRef;
        self.actions(0, 1, vec![("minReaderVersion", number(reader)), ("minWriterVersion", number(writer))])
    }

    fn metadata(&self, metadata: Option<&Metadata>) -> ArrayRef {
        let text = |of: &dyn Fn(&Metadata) -> Option<&str>| {
            let value: Option<String> = metadata.and_then(|metadata| of(metadata).map(str::to_owned));
            self.strings(1, std::iter::once(value.as_deref()))
        };
        let configuration = metadata.into_iter().map(|metadata| entries(&metadata.configuration));
        let options = metadata.into_iter().map(|metadata| entries(&metadata.format.options));
        let format = vec![("provider", text(&|metadata| Some(&metadata.format.provider))), ("options", self.maps(1, options))];
        // the table has no partition columns
        let items = Arc::new(Field::new("element", DataType::Utf8, true));
        let no_items = OffsetBuffer::from_lengths(std::iter::repeat_n(0, self.len()));
        let partitions = ListArray::new(items, no_items, Arc::new(StringArray::from(Vec::<&str>::new())), None);
        self.actions(
            1,
            1,
            vec![
                ("id", text(&|metadata| Some(&metadata.id))),
                ("name", text(&|metadata| metadata.name.as_deref())),
                ("description", text(&|metadata| metadata.description.as_deref())),
                ("format", self.actions(1, 1, format)),
                ("schemaString", text(&|metadata| Some(&metadata.schema_string))),
                ("partitionColumns", Arc::new(partitions)),
                ("configuration", self.maps(1, configuration)),
                ("createdTime", self.numbers(1, metadata.into_iter().map(|metadata| metadata.created_time))),
            ],
        )
    }

    fn add(&self, files: &[&TableFile]) -> ArrayRef {
        let from = 2;
        let paths: Vec<String> = files.iter().map(|file| encode_path(&file.name)).collect();
        self.actions(
            from,
            files.len(),
            vec![
                ("path", self.strings(from, paths.iter().map(|path| Some(path.as_str())))),
                ("partitionValues", self.maps(from, files.iter().map(|_| Vec::new()))),
                ("size", self.numbers(from, files.iter().map(|file| i64::try_from(file.bytes).ok()))),
                ("modificationTime", self.numbers(from, files.iter().map(|file| Some(file.modified_ms)))),
                ("dataChange", self.flags(from, files.len())),
                ("stats", self.strings(from, files.iter().map(|file| Some(file.stats.as_str())))),
                ("tags", self.maps(from, files.iter().map(|file| vec![(DAYS_KEY, file.days.as_str())]))),
            ],
        )
    }

    fn remove(&self, tombstones: &[&Tombstone]) -> ArrayRef {
        let from = 2 + self.files;
        let paths: Vec<String> = tombstones.iter().map(|tombstone| encode_path(&tombstone.name)).collect();
        self.actions(
            from,
            tombstones.len(),
            vec![
                ("path", self.strings(from, paths.iter().map(|path| Some(path.as_str())))),
                ("deletionTimestamp", self.numbers(from, tombstones.iter().map(|tombstone| Some(tombstone.removed_ms)))),
                ("dataChange", self.flags(from, tombstones.len())),
                ("extendedFileMetadata", self.flags(from, tombstones.len())),
                ("partitionValues", self.maps(from, tombstones.iter().map(|_| Vec::new()))),
                (
                    "size",
                    self.numbers(from, tombstones.iter().map(|tombstone| tombstone.bytes.and_then(|bytes| i64::try_from(bytes).ok()))),
                ),
            ],
        )
    }
}

fn entries(map: &std::collections::BTreeMap<String, String>) -> Vec<(&str, &str)> {
    map.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect()
}

/// Decodes a checkpoint.
///
/// # Errors
/// What it holds that this tool does not write.
pub(super) fn decode(bytes: Bytes) -> Result<State, String> {
    let unreadable = |error: &dyn std::fmt::Display| format!("cannot be read: {error}");
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let reader = ParquetRecordBatchReaderBuilder::try_new_with_options(bytes, options).map_err(|error| unreadable(&error))?;
    let mut state = State::default();
    for batch in reader.build().map_err(|error| unreadable(&error))? {
        let batch = batch.map_err(|error| unreadable(&error))?;
        for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
            if column.null_count() < column.len() {
                let column =
                    Actions { of: column.as_struct_opt().ok_or_else(|| format!("has a column {} that holds no actions", field.name()))? };
                column.read(field.name(), &mut state)?;
            }
        }
    }
    Ok(state)
}

/// The column of one kind of action, as it is read.
struct Actions<'a> {
    of: &'a StructArray,
}

impl Actions<'_> {
    fn read(&self, kind: &str, state: &mut State) -> Result<(), String> {
        for row in (0..self.of.len()).filter(|row| self.of.is_valid(*row)) {
            if self.of.column_by_name("deletionVector").is_some_and(|vector| vector.is_valid(row)) {
                return Err("holds a file with a deletion vector".into());
            }
            let action = self.action(kind, row)?.ok_or_else(|| format!("holds the action {kind} in another form"))?;
            state.apply(action);
        }
        Ok(())
    }

    fn action(&self, kind: &str, row: usize) -> Result<Option<Action>, String> {
        let action = match kind {
            "protocol" => {
                let version = |name: &str| Some(self.of.column_by_name(name)?.as_primitive_opt::<Int32Type>()?.value(row));
                let Some((reader, writer)) = version("minReaderVersion").zip(version("minWriterVersion")) else { return Ok(None) };
                Action::Protocol(protocol(reader, writer)?)
            }
            "metaData" => {
                let Some(metadata) = self.metadata(row) else { return Ok(None) };
                metadata.foreign().map_or(Ok(Action::Metadata(metadata)), Err)?
            }
            "add" => {
                let (Some(path), Some(size)) = (self.text("path", row), self.number("size", row)) else { return Ok(None) };
                let modified_ms = self.number("modificationTime", row).unwrap_or_default();
                let days = self.map("tags", row).and_then(|mut tags| tags.remove(DAYS_KEY));
                Action::Add(table_file(&path, u64::try_from(size).unwrap_or_default(), modified_ms, self.text("stats", row), days)?)
            }
            "remove" => {
                let Some(path) = self.text("path", row) else { return Ok(None) };
                let bytes = self.number("size", row).and_then(|bytes| u64::try_from(bytes).ok());
                let removed_ms = self.number("deletionTimestamp", row).unwrap_or_default();
                Action::Remove(Tombstone { name: decode_path(&path), bytes, removed_ms })
            }
            other => return Err(format!("holds the action {other}")),
        };
        Ok(Some(action))
    }

    fn metadata(&self, row: usize) -> Option<Metadata> {
        let format = Actions { of: self.of.column_by_name("format")?.as_struct_opt()? };
        let partitions = self.of.column_by_name("partitionColumns")?.as_list_opt::<i32>()?.value(row);
        let partitions = partitions.as_string_opt::<i32>()?;
        Some(Metadata {
            id: self.text("id", row)?,
            name: self.text("name", row),
            description: self.text("description", row),
            format: super::action::Format {
                provider: format.text("provider", row)?,
                options: format.map("options", row).unwrap_or_default(),
            },
            schema_string: self.text("schemaString", row)?,
            partition_columns: partitions.iter().flatten().map(str::to_owned).collect(),
            configuration: self.map("configuration", row).unwrap_or_default(),
            created_time: self.number("createdTime", row),
        })
    }

    fn text(&self, name: &str, row: usize) -> Option<String> {
        let array = self.of.column_by_name(name)?.as_string_opt::<i32>()?;
        array.is_valid(row).then(|| array.value(row).to_owned())
    }

    fn number(&self, name: &str, row: usize) -> Option<i64> {
        let array = self.of.column_by_name(name)?.as_primitive_opt::<Int64Type>()?;
        array.is_valid(row).then(|| array.value(row))
    }

    fn map(&self, name: &str, row: usize) -> Option<std::collections::BTreeMap<String, String>> {
        let array: &MapArray = self.of.column_by_name(name)?.as_map_opt()?;
        let entries = array.is_valid(row).then(|| array.value(row))?;
        let (keys, values) = (entries.column(0).as_string_opt::<i32>()?, entries.column(1).as_string_opt::<i32>()?);
        Some(keys.iter().zip(values).filter_map(|(key, value)| Some((key?.to_owned(), value?.to_owned()))).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::super::file::read_name;
    use super::*;

    fn state() -> State {
        let mut state = State::default();
        state.apply(Action::Protocol((1, 2)));
        state.apply(Action::Metadata(Metadata::new(7)));
        for (merchant, number) in [("m1", 1), ("a%20b", 2)] {
            let name = format!("2024-01/{merchant}-{}.parquet", "0".repeat(32));
            let (merchant, month) = read_name(&name).expect("a name");
            let days = "[]".to_owned();
            state.apply(Action::Add(TableFile { name, merchant, month, bytes: 5, modified_ms: 6, stats: "{}".into(), days }));
            let name = format!("2024-0{number}/m1-{}.parquet", "1".repeat(32));
            state.apply(Action::Remove(Tombstone { name, bytes: Some(9), removed_ms: 9 + number }));
        }
        state
    }

    #[test]
    fn a_checkpoint_reads_back_without_old_tombstones() {
        let state = state();
        let encoded = encode(&state, 0).expect("a checkpoint");
        assert_eq!(decode(encoded.clone().into()), Ok(state.clone()));
        let mut kept = state.clone();
        kept.tombstones.retain(|_, tombstone| tombstone.removed_ms > 10);
        assert_eq!(decode(encode(&state, 11).expect("a checkpoint").into()), Ok(kept));
        for cut in [0, 5, encoded.len() / 2, encoded.len() - 1] {
            assert!(decode(encoded[..cut].to_vec().into()).is_err());
        }
    }
}
