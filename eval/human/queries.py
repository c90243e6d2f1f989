"""Statements in SQL of a human test's database."""

SCHEMA = """
create table pictures (
  id integer primary key, file text, label text, category text, item text, reference integer);
create table participants (id integer primary key, token text unique, begun text, about text);
create table questions (
  participant integer references participants, place integer, first_seen text, choice text,
  reasons text, answered text, primary key (participant, place));
create table shown (
  token text primary key, participant integer references participants, place integer,
  slot integer, picture integer);
create index shown_of on shown (participant, place, slot);
"""
INSERT_IMAGE = (
    "insert into pictures (id, file, category, item, label, reference) "
    "values (?, cast(? as text), cast(? as text), cast(? as text), ?, ?)"
)

ALL_STIMULI = (
    "select cast(file as blob) file, label, cast(category as blob) category, "
    "cast(item as blob) item from pictures order by id"
)

ALL_IMAGES = (
    "select id from pictures union "
    "select reference from pictures where reference is not null order by 1"
)

COUNT_PARTICIPANTS = (
    "select count(*) began, total(answered = asked) completed from ("
    "select count(choice) answered, count(*) asked from questions group by participant)"
)

COUNT_SHOWN = "select picture, count(*) from shown where slot > 0 group by picture"

COUNT_ANSWERS = (
    "select count(choice), count(*) from questions join participants on id = participant "
    "where token = ?"
)

NEXT_QUESTION = (
    "select participant, place from questions join participants on id = participant "
    "where token = ? and choice is null order by place limit 1"
)

START_CLOCK = (
    "update questions set first_seen = coalesce(first_seen, ?) where participant = ? and place = ?"
)

SAVE_ANSWER = (
    "update questions set choice = ?, reasons = ?, answered = ? "
    "where place = ? and choice is null and first_seen is not null "
    "and participant = (select id from participants where token = ?)"
)

ALL_ANSWERS = (
    "select q.participant, about, q.place, choice, reasons, first_seen, answered, "
    "json_group_array(json_array(slot, picture)) pictures "
    "from questions q join participants on participants.id = q.participant "
    "join shown s on s.participant = q.participant and s.place = q.place and slot > 0 "
    "where choice is not null group by q.participant, q.place order by q.participant, q.place"
)
