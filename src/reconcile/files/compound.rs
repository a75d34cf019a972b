//! The container of old workbooks, checked before it is read: its sectors form chains, and the reader of workbooks would follow
//! one that is damaged and runs in a circle without end.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

/// Numbers from here on are no sectors, but marks.
const MARKS: u32 = 0xFFFF_FFFA;
const HEADER: usize = 512;

/// Whether a container's chains of sectors end, and lie within the file.
///
/// # Errors
/// What the file system reports.
pub(super) fn has_sound_chains(file: &File) -> io::Result<bool> {
    let length = file.metadata()?.len();
    let mut header = [0; HEADER];
    if length < HEADER as u64 {
        return Ok(false);
    }
    file.read_exact_at(&mut header, 0)?;
    let size: usize = match header[30] {
        9 => 512,
        12 => 4096,
        _ => return Ok(false),
    };
    let sectors = u32::try_from(length.div_ceil(size as u64)).unwrap_or(MARKS);
    let sector = |id: u32| -> io::Result<Vec<u32>> {
        let mut bytes = vec![0; size];
        let at = (u64::from(id) + 1) * size as u64;
        // the last sector may be cut short
        let filled = usize::try_from(length.saturating_sub(at)).unwrap_or(size).min(size);
        file.read_exact_at(&mut bytes[..filled], at)?;
        Ok(numbers(&bytes))
    };
    // the sectors of the table of chains: some in the header, more in a chain of their own
    let mut tables: Vec<u32> = numbers(&header[76..]);
    let mut next = number(&header[68..]);
    let mut read = 0;
    while next < MARKS {
        read += 1;
        if next >= sectors || read > sectors {
            return Ok(false);
        }
        tables.extend(sector(next)?);
        next = tables.pop().unwrap_or(MARKS);
    }
    tables.retain(|table| *table < MARKS);
    if tables.len() > sectors as usize || tables.iter().any(|table| *table >= sectors) {
        return Ok(false);
    }
    let mut chains = Vec::new();
    for table in tables {
        chains.extend(sector(table)?);
    }
    if !all_end(&chains) {
        return Ok(false);
    }
    // the chains of small sectors are stored in one of the chains
    let mut small = Vec::new();
    let mut next = number(&header[60..]);
    while next < MARKS {
        let Some(after) = chains.get(next as usize).filter(|_| next < sectors) else { return Ok(false) };
        small.extend(sector(next)?);
        next = *after;
    }
    Ok(all_end(&small))
}

/// Whether each chain of a table ends.
fn all_end(chains: &[u32]) -> bool {
    // for each sector the walk that has passed it; a walk that meets itself runs in a circle
    let mut passed = vec![0u32; chains.len()];
    for (walk, start) in (1..).zip(0..chains.len()) {
        let mut at = start;
        while passed[at] == 0 {
            passed[at] = walk;
            match usize::try_from(chains[at]) {
                Ok(next) if chains[at] < MARKS && next < chains.len() => at = next,
                _ => break,
            }
            if passed[at] == walk {
                return false;
            }
        }
    }
    true
}

fn number(bytes: &[u8]) -> u32 {
    bytes.first_chunk().map_or(MARKS, |bytes| u32::from_le_bytes(*bytes))
}

fn numbers(bytes: &[u8]) -> Vec<u32> {
    bytes.chunks_exact(4).map(number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chains_that_run_in_a_circle() {
        const END: u32 = 0xFFFF_FFFE;
        for chains in [&[][..], &[END], &[1, 2, END], &[2, 2, END], &[1, 99]] {
            assert!(all_end(chains), "{chains:?}");
        }
        for chains in [&[0][..], &[1, 0], &[3, 2, 1, END], &[1, 2, 1]] {
            assert!(!all_end(chains), "{chains:?}");
        }
    }
}
