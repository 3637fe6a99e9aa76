//! What a disk may leave of what was written to it.

use std::collections::BTreeSet;
use std::path::Path;

use super::*;

const FILE: &str = "/dir/file";
const SECTOR: usize = 512;

fn disk(seed: u64) -> SimDisk {
    let disk = SimDisk::new(Rng::with_seed(seed));
    disk.create_dirs(Path::new("/dir")).unwrap();
    disk
}

/// A file with a flushed name and these flushed bytes.
fn file(disk: &SimDisk, bytes: &[u8]) -> SimFile {
    let file = disk.create(Path::new(FILE)).unwrap();
    file.write_all_at(bytes, 0).unwrap();
    file.sync_data().unwrap();
    disk.sync_parent(Path::new(FILE)).unwrap();
    file
}

fn names(disk: &SimDisk) -> Vec<String> {
    let mut names: Vec<_> = disk.list(Path::new("/dir")).unwrap();
    names.sort();
    names.iter().map(|path| path.file_name().unwrap().to_str().unwrap().into()).collect()
}

#[test]
fn what_is_flushed_stays_and_the_rest_may_be_there_or_not_sector_by_sector() {
    let mut kept = BTreeSet::new();
    let mut torn_within = 0;
    for seed in 0..400 {
        let disk = disk(seed);
        let file = file(&disk, &[1; 4 * SECTOR]);
        file.write_all_at(&[2; 3 * SECTOR], SECTOR as u64).unwrap();
        assert_eq!(disk.read(Path::new(FILE)).unwrap()[SECTOR], 2, "processes see it at once");
        disk.lose_power();
        let found = disk.read(Path::new(FILE)).unwrap();
        assert_eq!((found.len(), &found[..SECTOR]), (4 * SECTOR, &[1; SECTOR][..]));
        assert!(found.iter().all(|byte| [1, 2].contains(byte)));
        let sectors: Vec<bool> = found.chunks(SECTOR).map(|sector| sector == [2; SECTOR]).collect();
        let is_torn = found.chunks(SECTOR).any(|s| s.iter().any(|byte| *byte != s[0]));
        torn_within += usize::from(is_torn);
        if !is_torn {
            kept.insert(sectors);
        }
    }
    assert_eq!(kept.len(), 8, "each of the three is there or not: {kept:?}");
    assert!(torn_within > 10, "{torn_within}");
}

#[test]
fn a_file_may_grow_without_its_data() {
    let (mut with_zeros, mut shorter) = (0, 0);
    for seed in 0..200 {
        let disk = disk(seed);
        let file = file(&disk, &[1; 100]);
        file.allocate(100, 10_000).unwrap();
        file.write_all_at(&[2; 9 * SECTOR], SECTOR as u64).unwrap();
        disk.lose_power();
        let found = disk.read(Path::new(FILE)).unwrap();
        assert_eq!(found[..100], [1; 100]);
        match found.len() {
            100 => shorter += 1,
            10_000 => with_zeros += usize::from(found[SECTOR..10 * SECTOR].contains(&0)),
            other => panic!("it never had {other} bytes"),
        }
    }
    assert!(with_zeros > 20 && shorter > 20, "{with_zeros}, {shorter}");
}

#[test]
fn names_are_durable_with_their_directory() {
    let mut found = BTreeSet::new();
    for seed in 0..200 {
        let disk = disk(seed);
        drop(file(&disk, b"old"));
        let [new, other] = ["/dir/new", "/dir/other"].map(Path::new);
        disk.create(new).unwrap().write_all_at(b"new", 0).unwrap();
        disk.open_for_writing(new).unwrap().sync_all().unwrap();
        disk.rename(new, Path::new(FILE)).unwrap();
        disk.create(other).unwrap();
        assert_eq!(names(&disk), ["file", "other"]);
        disk.lose_power();
        let content = String::from_utf8(disk.read(Path::new(FILE)).unwrap()).unwrap();
        found.insert((names(&disk), content));

        disk.remove(Path::new(FILE)).unwrap();
        disk.sync_dir(Path::new("/dir")).unwrap();
        disk.lose_power();
        assert!(!names(&disk).contains(&"file".into()));
    }
    let has = |names: &[&str], content: &str| {
        found.contains(&(names.iter().map(|name| (*name).into()).collect(), content.into()))
    };
    assert!(has(&["file"], "old") && has(&["file"], "new") && has(&["file", "other"], "new"));
    assert!(has(&["file", "new"], "old"), "a file of which only the rename is lost");
    assert!(!found.iter().any(|(_, content)| content.is_empty()), "{found:?}");
}

#[test]
fn a_process_dies_amid_any_change_and_what_it_wrote_stays() {
    let write = |disk: &SimDisk| {
        let file = disk.create(Path::new(FILE))?;
        file.write_all_at(&[1; 1000], 0)?;
        file.write_all_at(&[2; 1000], 1000)?;
        file.sync_all()
    };
    let mut lengths = BTreeSet::new();
    for seed in 0..100 {
        for life in 0..6 {
            let disk = disk(seed);
            disk.die_after(life);
            assert_eq!(write(&disk).is_ok(), life > 4, "{life}");
            assert_eq!(disk.is_dead(), life <= 4);
            disk.kill();
            lengths.insert(disk.read(Path::new(FILE)).map_or(0, |content| content.len()));
        }
    }
    assert!(lengths.contains(&2000) && lengths.len() > 100, "{lengths:?}");
}

#[test]
fn a_disk_that_fails_or_is_full_says_so() {
    let disk = disk(1);
    let file = file(&disk, &[1; 100]);
    disk.set_error(Some(DiskError::NoSpace));
    file.write_all_at(&[2; 100], 0).unwrap();
    file.sync_data().unwrap();
    for error in [file.write_all_at(&[2; 100], 1), file.allocate(100, 200)] {
        assert_eq!(error.unwrap_err().kind(), io::ErrorKind::StorageFull);
    }
    disk.create(Path::new("/dir/other")).unwrap_err();
    disk.set_error(Some(DiskError::Io));
    assert_eq!(file.sync_data().unwrap_err().raw_os_error(), Some(EIO));
    assert_eq!(disk.read(Path::new(FILE)).unwrap_err().raw_os_error(), Some(EIO));
    disk.kill();
    assert_eq!(disk.read(Path::new(FILE)).unwrap(), [2; 100]);
}

#[test]
fn rot_turns_one_bit_and_is_undone_by_whoever_restores_the_file() {
    let disk = disk(1);
    drop(file(&disk, &[7; 1000]));
    disk.rot(Path::new(FILE), 10);
    disk.lose_power();
    let found = disk.read(Path::new(FILE)).unwrap();
    let turned: Vec<_> = (0..1000).filter(|at| found[*at] != 7).collect();
    assert!(matches!(turned[..], [0..10]), "{turned:?}");
    assert_eq!((found[turned[0]] ^ 7).count_ones(), 1);
    assert_eq!(disk.heal(), [Path::new(FILE)]);
    assert_eq!(disk.read(Path::new(FILE)).unwrap(), [7; 1000]);
    assert!(!disk.is_rotten());
}
