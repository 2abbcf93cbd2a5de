-- nginx's quick way (nginx.conf beside this): what each worker remembers of delivery's answers, so that the next hit asks nobody.
--
-- An answer holds until the time that delivery said with it, and only while delivery has taken nothing back since the request that it
-- came with began: then the number in the file ``recalls`` (../recalls.py) is another one. Without that number, with another one, and
-- after any error here, a request goes the long way, where the links that are there decide.

local ffi = require "ffi"
local lrucache = require "resty.lrucache"

ffi.cdef [[
    int open(const char *path, int flags, ...);
    int close(int descriptor);
    void *mmap(void *address, size_t length, int protection, int flags, int descriptor, long offset);
    ssize_t write(int descriptor, const void *data, size_t count);
]]

local O_RDONLY, O_WRONLY, O_APPEND, O_CLOEXEC = 0, 1, 0x400, 0x80000 -- <asm-generic/fcntl.h>
local PROT_READ, MAP_SHARED = 1, 1 -- <asm-generic/mman-common.h>
local MAP_FAILED = ffi.cast("void *", -1)
local SIZE = 4 -- bytes of the number
local OBJECTS, SESSIONS = 10000, 16384 -- that each worker remembers
local LONGEST_KEY = 2048 -- bytes of what a session is known by; with more it goes the long way
local LONGEST = 60 -- seconds for which anything is remembered
local C, var, now = ffi.C, ngx.var, ngx.now

-- Return what holds between two numbers of the file at ``path``, nil where it is not there.
local function map(path)
    local descriptor = C.open(path, O_RDONLY + O_CLOEXEC)
    if descriptor < 0 then
        return nil
    end
    local memory = C.mmap(nil, SIZE, PROT_READ, MAP_SHARED, descriptor, 0)
    C.close(descriptor)
    return memory ~= MAP_FAILED and ffi.cast("volatile uint32_t *", memory) or nil
end

local function holds(known, number, at)
    return known and known.number == number and known.from <= at and at < known.upto
end

-- Whether a range, of which nginx.conf has seen that it is one, begins within an object of so many bytes and ends no earlier: as there.
local function fits(range, size)
    local first, last = string.match(range, "^bytes=(%d+)-(%d*)$")
    return not first or tonumber(first) < size and (last == "" or tonumber(first) <= tonumber(last))
end

local function set(names, values)
    for index = 1, #names do
        var[names[index]] = values[index]
    end
end

local function remember(where, key, names, upto, number, at)
    upto = math.min(tonumber(upto) or 0, at + LONGEST)
    if at >= upto or #key > LONGEST_KEY then
        return
    end
    local known = {number = number, from = at, upto = upto, values = {}}
    for index = 1, #names do
        known.values[index] = var[names[index]] or ""
        known[names[index]] = known.values[index]
    end
    known.bytes = tonumber(known.size)
    where:set(key, known)
end

-- ``folder`` is where nginx meets delivery; an object of more than ``small`` bytes is told to begin; ``of_object`` and ``of_session`` are
-- nginx's variables that an answer gives, none of a session where no permission is asked for. ``fields`` are the fields of an answer,
-- each with the variable that has it, and ``constant`` those that are always the same, as they are written.
return function(folder, small, of_object, of_session, fields, constant)
    local objects = lrucache.new(OBJECTS)
    local sessions = #of_session > 0 and lrucache.new(SESSIONS)
    local nobody = {door = "/trees", subject = "", marks = "", values = {}}
    local recalls, log, looked

    -- Each worker opens both, and looks for what delivery has not made yet once a second.
    local function meets(at)
        if not recalls and looked ~= math.floor(at) then
            looked = math.floor(at)
            log = log or C.open(folder .. "/deliveries.log", O_WRONLY + O_APPEND + O_CLOEXEC)
            if log < 0 then
                log = nil
                return false
            end
            recalls = map(folder .. "/recalls")
        end
        return recalls
    end

    -- Write the line ``began`` of nginx.conf; return whether it is written whole.
    local function tell(object, session)
        local line = table.concat({"b", var.request_id, var.remote_addr, var.remote_port, object.meter,
                                   session.subject, session.marks}, " ") .. "\n"
        return C.write(log, line, #line) == #line
    end

    -- Return the media type, with all other fields behind it: what HTTP/1 writes between a field and the next is a line's end.
    local function words(object)
        local lines = {object.type}
        for _, field in ipairs(fields) do
            if object[field[2]] ~= "" then
                lines[#lines + 1] = field[1] .. ": " .. object[field[2]]
            end
        end
        return table.concat(lines, "\r\n") .. constant
    end

    -- Return ``small``, ``spoken`` (it is small, and more is told of it than how it ended) or ``large``, with all variables set, where
    -- everything is remembered, else the number that is to be learned under.
    local function way()
        local at = now()
        if not meets(at) then
            return ""
        end
        local number, session = recalls[0], nobody
        local object, range = objects:get(var.target), var.http_range
        if not holds(object, number, at) or range and not fits(range, object.bytes) then
            return number
        end
        if sessions then
            session = sessions:get(var.session)
            if not holds(session, number, at) then
                return number
            end
        end
        local large = object.bytes > small
        if not large and var.silent == "1" then
            object.words = object.words or words(object)
            var.found, var.type = session.door .. object.found, object.words
            var.meter = object.meter .. " " .. session.subject .. " " .. session.marks
            return "small"
        end
        -- What is taken back after it was told is found in the log, and broken off: so it is looked at once more.
        if large and not (tell(object, session) and recalls[0] == number) then
            return number
        end
        set(of_session, session.values)
        set(of_object, object.values)
        return large and "large" or "spoken"
    end

    -- Remember what the long way was told, once it has opened the object.
    local function learn()
        local number, at = tonumber(var.way), now()
        if not number or ngx.status >= 300 then
            return
        end
        remember(objects, var.target, of_object, var.object_until, number, at)
        if sessions then
            remember(sessions, var.session, of_session, var.session_until, number, at)
        end
    end

    local function safely(act)
        return function()
            local well, told = pcall(act)
            if well then
                return told
            end
            ngx.log(ngx.ERR, told)
            return ""
        end
    end

    return {way = safely(way), learn = safely(learn)}
end
