//! Server-Sent Events, as the HTML standard has them (section 9.2.6): bytes in, events out. Pure.

/// The longest event that is read, in bytes. A request with all its applications stays far below.
const LONGEST: usize = 8 * 1024 * 1024;
/// What a stream may begin with.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What it is; `message` where the stream says nothing.
    pub kind: String,
    /// What it says.
    pub data: String,
}

/// An event is longer than anything that the API sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the API sent an event of more than {LONGEST} bytes, which is none of Tandem's; is it the right address?")]
pub struct TooLong;

/// Reads a stream, in whatever pieces it comes.
#[derive(Clone, Debug, Default)]
pub struct Parser {
    /// The line that has not ended.
    line: Vec<u8>,
    /// The last byte was a carriage return: a line feed that follows belongs to it.
    returned: bool,
    /// A line was read: a byte order mark can no longer come.
    begun: bool,
    kind: String,
    data: String,
    /// The id that the event under way will leave behind.
    id: Option<String>,
    last_id: Option<String>,
    retry: Option<u64>,
}

impl Parser {
    /// Begins the stream that comes after this one: what was left unfinished is no part of it.
    #[must_use]
    pub fn anew(self) -> Self {
        Self { id: self.last_id.clone(), last_id: self.last_id, retry: self.retry, ..Self::default() }
    }

    /// The id of the last event: what to send as `Last-Event-ID`.
    #[must_use]
    pub fn last_id(&self) -> Option<&str> {
        self.last_id.as_deref().filter(|id| !id.is_empty())
    }

    /// After how long to come back, in milliseconds, where the stream has said so.
    #[must_use]
    pub fn retry(&self) -> Option<u64> {
        self.retry
    }

    /// Takes the next piece, and gives the events that are complete with it.
    ///
    /// # Errors
    /// [`TooLong`]; the stream is then of no use.
    pub fn push(&mut self, piece: &[u8]) -> Result<Vec<Event>, TooLong> {
        let mut events = Vec::new();
        for &byte in piece {
            let follows_return = std::mem::replace(&mut self.returned, byte == b'\r');
            match byte {
                b'\n' if follows_return => {}
                b'\n' | b'\r' => events.extend(self.end_of_line()),
                _ => {
                    self.line.push(byte);
                    if self.line.len() + self.data.len() > LONGEST {
                        return Err(TooLong);
                    }
                }
            }
        }
        Ok(events)
    }

    fn end_of_line(&mut self) -> Option<Event> {
        let bytes = std::mem::take(&mut self.line);
        let mut line = bytes.as_slice();
        if !std::mem::replace(&mut self.begun, true) {
            line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
        }
        if line.is_empty() {
            return self.end_of_event();
        }
        let line = String::from_utf8_lossy(line);
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.kind),
            "data" => {
                self.data.push_str(value);
                self.data.push('\n');
            }
            "id" if !value.contains('\0') => self.id = Some(value.to_owned()),
            "retry" if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) => {
                self.retry = value.parse().ok().or(self.retry);
            }
            // A comment, which only says that the other end is there, or a field of a later time.
            _ => {}
        }
        None
    }

    fn end_of_event(&mut self) -> Option<Event> {
        self.last_id.clone_from(&self.id);
        let kind = std::mem::take(&mut self.kind);
        let mut data = std::mem::take(&mut self.data);
        // Without a line of data there is no event; an empty one is an event.
        data.pop()?;
        Some(Event { kind: if kind.is_empty() { "message".to_owned() } else { kind }, data })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(stream: &[u8]) -> (Vec<Event>, Parser) {
        let mut parser = Parser::default();
        let events = parser.push(stream).unwrap();
        (events, parser)
    }

    fn event(kind: &str, data: &str) -> Event {
        Event { kind: kind.to_owned(), data: data.to_owned() }
    }

    #[test]
    fn what_the_api_sends() {
        let (events, parser) =
            read(b"event: request\nid: 5f\nretry: 2000\ndata: {\"a\":1}\n\n: \n\nevent: end\ndata: {}\n\n");
        assert_eq!(events, [event("request", "{\"a\":1}"), event("end", "{}")]);
        assert_eq!((parser.last_id(), parser.retry()), (Some("5f"), Some(2000)));
    }

    #[test]
    fn the_standards_examples() {
        assert_eq!(read(b"data: YHOO\ndata: +2\ndata: 10\n\n").0, [event("message", "YHOO\n+2\n10")]);
        let (events, parser) = read(b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\ndata: cut off\n");
        assert_eq!(
            events,
            [event("message", "first event"), event("message", "second event"), event("message", " third event")]
        );
        assert_eq!(parser.last_id(), None, "an empty id takes the last one away");
        assert_eq!(read(b"data\n\ndata\ndata\n\ndata:").0, [event("message", ""), event("message", "\n")]);
        assert_eq!(read(b"data:test\n\ndata: test\n\n").0, [event("message", "test"), event("message", "test")]);
    }

    #[test]
    fn ends_of_lines_marks_and_what_is_not_known() {
        let (events, parser) =
            read(b"\xef\xbb\xbfdata: a\r\rdata: b\r\n\r\nunknown: 1\nretry: soon\nretry: -1\nid: a\0b\ndata: c\n\n");
        assert_eq!(events, [event("message", "a"), event("message", "b"), event("message", "c")]);
        assert_eq!((parser.last_id(), parser.retry()), (None, None));
        let (events, parser) = read(b"event: request\nid: 7\n\ndata: x\n\n");
        assert_eq!(events, [event("message", "x")], "without data there is no event, and its kind is forgotten");
        assert_eq!(parser.last_id(), Some("7"), "its id stays");
    }

    #[test]
    fn a_stream_that_broke_off_leaves_its_last_id_and_no_more() {
        let (_, parser) = read(b"id: 7\nretry: 50\ndata: x\n\nid: 8\nevent: half\ndata: y\nda");
        let mut parser = parser.anew();
        assert_eq!((parser.last_id(), parser.retry()), (Some("7"), Some(50)));
        assert_eq!(parser.push(b"data: z\n\n").unwrap(), [event("message", "z")]);
        assert_eq!(parser.last_id(), Some("7"), "it stays until another comes");
    }

    #[test]
    fn an_event_without_end_is_given_up() {
        let mut parser = Parser::default();
        let piece = vec![b'x'; 1024 * 1024];
        let ended = (0..9).map(|_| parser.push(&piece)).find(Result::is_err);
        assert_eq!(ended, Some(Err(TooLong)));
        let mut parser = Parser::default();
        let line = [b"data: ".as_slice(), &piece, b"\n"].concat();
        assert!((0..9).any(|_| parser.push(&line).is_err()), "many lines are no way around it");
    }

    /// Lines as they may stand in a stream, and their ends.
    fn stream() -> impl Strategy<Value = Vec<u8>> {
        let line = prop_oneof![
            4 => "(event|data|id|retry|other|)(:| |: )[a-z0-9 :é卫]{0,8}",
            2 => Just(String::new()),
            1 => ":[a-z]{0,3}",
        ];
        let end = prop_oneof![Just("\n"), Just("\r"), Just("\r\n")];
        proptest::collection::vec((line, end), 0..24)
            .prop_map(|lines| lines.into_iter().flat_map(|(line, end)| (line + end).into_bytes()).collect())
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_events(stream in stream(), cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..12)) {
            let (whole, at_once) = read(&stream);
            let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
            places.extend([0, stream.len()]);
            places.sort_unstable();
            let mut parser = Parser::default();
            let mut events = Vec::new();
            for part in places.windows(2) {
                events.extend(parser.push(&stream[part[0]..part[1]]).unwrap());
            }
            prop_assert_eq!(events, whole);
            prop_assert_eq!((parser.last_id(), parser.retry()), (at_once.last_id(), at_once.retry()));
        }

        #[test]
        fn what_is_written_is_read(events in proptest::collection::vec(("[a-z]{1,8}", "[^\r\n]{0,12}(\n[^\r\n]{0,12}){0,3}"), 0..6)) {
            let mut text = String::new();
            for (kind, data) in &events {
                text += &format!("event: {kind}\n");
                text.extend(data.split('\n').map(|line| format!("data: {line}\n")));
                text.push('\n');
            }
            let wanted: Vec<Event> = events.iter().map(|(kind, data)| event(kind, data)).collect();
            prop_assert_eq!(read(text.as_bytes()).0, wanted);
        }
    }
}
