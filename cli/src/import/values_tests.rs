use super::*;

#[test]
fn processors_are_read_as_people_write_them() {
    for (text, millis) in [
        ("4", 4_000),
        ("4C", 4_000),
        ("4 核", 4_000),
        ("２核", 2_000),
        ("0.5核", 500),
        ("500m", 500),
        ("1.5 cores", 1_500),
        ("8 vCPU", 8_000),
    ] {
        assert_eq!(millicores(text), Ok(millis), "{text}");
    }
    for text in ["", "four", "4核8G", "-1", "0", "1.2345", "0.5m", "300", "4.", ".5"] {
        assert!(millicores(text).is_err(), "{text}");
    }
}

#[test]
fn bytes_are_binary_whatever_the_unit_is_called() {
    for text in ["8", "8G", "8Gi", "8 GB", "8GiB", "８Ｇ", "8192M"] {
        assert_eq!(memory(text, ByteUnit::Gibi), Ok(8 << 30), "{text}");
    }
    assert_eq!(memory("512", ByteUnit::Mebi), Ok(512 << 20));
    assert_eq!(storage("1.5T", ByteUnit::Gibi), Ok(3 << 39));
    assert_eq!(storage("0", ByteUnit::Gibi), Ok(0));
    for text in ["", "0", "8 bytes", "8192", "G", "-8G"] {
        assert!(memory(text, ByteUnit::Gibi).is_err(), "{text}");
    }
}

#[test]
fn times_need_a_unit() {
    for (text, wanted) in [
        ("30s", 30),
        ("15分钟", 900),
        ("4h", 14_400),
        ("4 小时", 14_400),
        ("1小时30分钟", 5_400),
        ("≤5分钟", 300),
        ("1天", 86_400),
        ("0", 0),
        ("0秒", 0),
        ("1.5h", 5_400),
    ] {
        assert_eq!(seconds(text), Ok(wanted), "{text}");
    }
    assert!(seconds("30").unwrap_err().what.contains("unit of time"));
    for text in ["", "soon", "h", "2年", "400天", "1h30", "≤"] {
        assert!(seconds(text).is_err(), "{text}");
    }
}

#[test]
fn words_are_known_in_both_languages() {
    assert_eq!(level("市级"), Ok(UnitLevel::City));
    assert_eq!(level("County"), Ok(UnitLevel::County));
    assert_eq!(level("乡镇"), Ok(UnitLevel::Township));
    assert!(level("省").is_err());
    for text in ["三级", "3", "等保三级", "第三级", "MLPS-3", "Level 3", "L3", "3级"] {
        assert_eq!(mlps(text), Ok(3), "{text}");
    }
    assert!(mlps("五级").is_err());
    assert_eq!(standby_class("温备"), Ok(StandbyClass::Warm));
    assert_eq!(standby_class("HOT"), Ok(StandbyClass::Hot));
    assert!(standby_class("lukewarm").is_err());
    assert_eq!(environment("生产环境"), Ok(("prod".to_owned(), Purpose::Production)));
    assert_eq!(environment("test-2"), Ok(("test-2".to_owned(), Purpose::Test)));
    assert!(environment("临时").is_err());
    assert!(environment("test-").is_err());
    assert_eq!(tier("T1"), Ok(1));
    assert!(tier("4").is_err());
    assert_eq!(whole("3.0", 0, 9), Ok(3));
    assert!(whole("+3", 0, 9).is_err());
}

#[test]
fn codes_are_labels_and_a_mended_one_is_suggested() {
    assert_eq!(code(" data "), Ok("data".to_owned()));
    assert!(code("Data_Hub").unwrap_err().remedy.contains("data-hub"));
    assert!(code("数据局").unwrap_err().remedy.contains("lower-case"));
    assert!(code(&"a".repeat(41)).unwrap_err().what.contains("41"));
}

#[test]
fn lists_are_split_at_what_people_type() {
    assert_eq!(hosts("A.example；b.example、c.example").unwrap(), ["a.example", "b.example", "c.example"]);
    assert_eq!(hosts("").unwrap(), Vec::<String>::new());
    for text in ["http://a.example", "a.example:80", "*.example", "localhost", "a.example a.example", "中国.example"]
    {
        assert!(hosts(text).is_err(), "{text}");
    }
    let found = dependencies("hall; data/pop-db、data/test/hub").unwrap();
    assert_eq!(found.len(), 3);
    assert_eq!(found[2].environment.as_deref(), Some("test"));
    assert!(dependencies("a/b/c/d").is_err());
    assert!(dependencies("人口库").is_err());
}
