//! What a listing finds below `{folder}/pay_date=…/`. Made by hand, because the stores' own listings end at the first name
//! that they cannot represent: a stray `lost+found`, a name that is not UTF-8, or a key with an empty segment.

use std::fs;
use std::io;
use std::path::Path as FsPath;

use object_store::ObjectMeta;
use object_store::aws::AmazonS3;
use object_store::list::{PaginatedListOptions, PaginatedListStore as _};
use object_store::path::Path;

use crate::lake::version::StoredObject;

/// The objects of a folder of the lake.
#[derive(Default)]
pub(in crate::lake) struct Listing {
    /// In no order.
    pub(in crate::lake) objects: Vec<Listed>,
    /// Names that are not days' folders or that no object of this tool has.
    pub(in crate::lake) foreign: Foreign,
}

/// An object of a listing.
pub(in crate::lake) struct Listed {
    pub(in crate::lake) location: Path,
    pub(in crate::lake) object: StoredObject,
}

/// Names that were passed over.
#[derive(Default)]
pub(in crate::lake) struct Foreign {
    count: u64,
    first: Option<String>,
}

impl Foreign {
    pub(in crate::lake) fn add(&mut self, name: impl Into<String>) {
        self.count += 1;
        self.first.get_or_insert_with(|| name.into());
    }

    /// Warns once about all of them.
    pub(in crate::lake) fn warn(&self) {
        if let Some(first) = &self.first {
            tracing::warn!(names = self.count, "passed over what is not a day of this tool in the lake, such as {first:?}");
        }
    }
}

const DAY: &str = "pay_date=";

/// Lists a folder on disk. Blocks.
pub(super) fn on_disk(root: &FsPath, folder: &str) -> io::Result<Listing> {
    let mut listing = Listing::default();
    let days = match fs::read_dir(root.join(folder)) {
        Ok(days) => days,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(listing),
        Err(error) => return Err(error),
    };
    for day in days {
        let day = day?;
        let name = day.file_name();
        let shown = || format!("{folder}/{}", name.to_string_lossy());
        let Some(name) = name.to_str().filter(|name| name.starts_with(DAY)) else {
            listing.foreign.add(shown());
            continue;
        };
        let files = match fs::read_dir(day.path()) {
            Ok(files) => files,
            // a run has removed it meanwhile
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => {
                listing.foreign.add(format!("{} ({error})", shown()));
                continue;
            }
        };
        for file in files {
            let file = file?;
            let name_of_file = file.file_name();
            let location = name_of_file.to_str().and_then(|file| Path::parse(format!("{folder}/{name}/{file}")).ok());
            let metadata = match fs::metadata(file.path()) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                metadata => metadata.ok(),
            };
            let object = metadata.as_ref().map_or_else(StoredObject::default, StoredObject::of_file);
            match location {
                Some(location) => listing.objects.push(Listed { location, object }),
                None => listing.foreign.add(format!("{}/{}", shown(), name_of_file.to_string_lossy())),
            }
        }
    }
    Ok(listing)
}

/// Every file below a folder on disk. Names that are not UTF-8 are passed over. Blocks.
pub(super) fn below(root: &FsPath, folder: &str) -> io::Result<Vec<ObjectMeta>> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        let entries = match fs::read_dir(root.join(&folder)) {
            Ok(entries) => entries,
            // removed meanwhile, or not there yet
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            let Some(below) = name.to_str().map(|name| format!("{folder}/{name}")) else { continue };
            let metadata = match entry.metadata() {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                metadata => metadata?,
            };
            if metadata.is_dir() {
                folders.push(below);
            } else if let Ok(location) = Path::parse(&below) {
                let last_modified = metadata.modified()?.into();
                found.push(ObjectMeta { location, last_modified, size: metadata.len(), e_tag: None, version: None });
            }
        }
    }
    Ok(found)
}

/// Lists a folder of a bucket, below `prefix`. Keys outside `pay_date=` folders are not listed at all.
pub(super) async fn in_bucket(store: &AmazonS3, prefix: &Path, folder: &str) -> object_store::Result<Listing> {
    let root = if prefix.as_ref().is_empty() { String::new() } else { format!("{prefix}/") };
    let wanted = format!("{root}{folder}/{DAY}");
    let mut listing = Listing::default();
    let mut page_token = None;
    loop {
        let options = PaginatedListOptions { page_token, ..PaginatedListOptions::default() };
        let page = store.list_paginated(Some(&wanted), options).await?;
        for object in page.result.objects {
            let relative = object.location.as_ref().strip_prefix(&root).and_then(|relative| Path::parse(relative).ok());
            match relative {
                Some(location) => listing.objects.push(Listed { location, object: StoredObject::new(object.e_tag, object.size) }),
                None => listing.foreign.add(object.location.to_string()),
            }
        }
        page_token = page.page_token;
        if page_token.is_none() {
            return Ok(listing);
        }
    }
}
