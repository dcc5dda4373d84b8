-- The dead-man switch in the database. Everything here belongs to the superuser who installs it; applications may call
-- tandem.check() and nothing else.
DO $switch$
DECLARE
    owner name;
BEGIN
    SELECT r.rolname INTO owner FROM pg_namespace n JOIN pg_roles r ON r.oid = n.nspowner
     WHERE n.nspname = 'tandem' AND NOT r.rolsuper;
    IF FOUND THEN
        RAISE EXCEPTION 'the schema tandem belongs to %', owner USING HINT = 'rename or drop it: the switch has to be out of reach of applications';
    END IF;
END
$switch$;

CREATE SCHEMA IF NOT EXISTS tandem;
GRANT USAGE ON SCHEMA tandem TO PUBLIC;
REVOKE CREATE ON SCHEMA tandem FROM PUBLIC;

-- Raises TD001 unless the site may take writes now; returns the epoch. The gate file is found by a link beside the member's own
-- socket, which is made by its agent: both settings that say where that is are the server's alone. No session can change them, and
-- unlike a file in the data folder the link is not copied to another member or site.
CREATE OR REPLACE FUNCTION tandem.check() RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $switch$
DECLARE
    place text := btrim(split_part(current_setting('unix_socket_directories'), ',', 1), ' "')
        || '/.s.PGSQL.' || current_setting('port') || '.tandem';
    gate jsonb := pg_read_file(place, 0, 65536, true)::jsonb;
    -- It is rounded down to hundredths.
    uptime numeric := split_part(pg_read_file('/proc/uptime', 0, 64), ' ', 1)::numeric + 0.01;
    boot text := btrim(pg_read_file('/proc/sys/kernel/random/boot_id', 0, 64), E' \n');
    why text;
BEGIN
    why := CASE
        WHEN gate IS NULL THEN 'there is no gate file'
        WHEN gate->>'group' IS DISTINCT FROM @GROUP@ THEN 'the gate file is another group''s'
        WHEN gate->>'bootId' IS DISTINCT FROM boot THEN 'the gate file is of another boot'
        WHEN gate->>'fenced' IS DISTINCT FROM 'false' THEN 'this site is fenced'
        WHEN (uptime * 1000000000 < (gate->>'validUntil')::numeric) IS NOT TRUE THEN 'the gate file ran out'
    END;
    IF why IS NOT NULL THEN
        RAISE EXCEPTION 'this site may not take writes: %', why USING ERRCODE = 'TD001';
    END IF;
    RETURN (gate->'token'->>'epoch')::bigint;
END
$switch$;

-- One row for each statement that writes. It is in no log and in no copy, and is swept each minute.
CREATE UNLOGGED TABLE IF NOT EXISTS tandem.pulses (pulse boolean NOT NULL);
REVOKE ALL ON tandem.pulses FROM PUBLIC;

CREATE OR REPLACE FUNCTION tandem.checked() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $switch$
BEGIN
    PERFORM tandem.check();
    RETURN NULL;
END
$switch$;
REVOKE ALL ON FUNCTION tandem.checked() FROM PUBLIC;

DO $switch$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = 'tandem.pulses'::regclass AND tgname = 'switch') THEN
        CREATE CONSTRAINT TRIGGER switch AFTER INSERT ON tandem.pulses DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW EXECUTE FUNCTION tandem.checked();
    END IF;
END
$switch$;
ALTER TABLE tandem.pulses ENABLE ALWAYS TRIGGER switch;

-- Of each protected table, once a statement: one for each row costs ten times as much.
CREATE OR REPLACE FUNCTION tandem.pulse() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $switch$
BEGIN
    -- Whatever the application has said before: what is checked at once is checked too early.
    SET CONSTRAINTS tandem.switch DEFERRED;
    INSERT INTO tandem.pulses VALUES (true);
    RETURN NULL;
END
$switch$;
REVOKE ALL ON FUNCTION tandem.pulse() FROM PUBLIC;
