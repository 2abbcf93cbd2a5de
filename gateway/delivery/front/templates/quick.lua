-- nginx's quick way (nginx.conf beside this): what each worker remembers of delivery's answers, so that the next hit asks nobody.
--
-- An answer holds until the time that delivery said with it, and only while delivery has taken nothing back since the request that it
-- came with began: then the number in the memory that both have in common (../recalls.py) is another one. Without it, with another
-- number, where delivery has not said lately that it lends them this, and after any error here, a request goes the long way, where the
-- links that are there decide.

local ffi = require "ffi"
local lrucache = require "resty.lrucache"

ffi.cdef [[
    int open(const char *path, int flags, ...);
    int close(int descriptor);
    void *mmap(void *address, size_t length, int protection, int flags, int descriptor, long offset);
    ssize_t write(int descriptor, const void *data, size_t count);
    typedef struct { uint32_t number, turn; double lease; char told[2][512]; } headgate_common;
]]

local O_RDONLY, O_WRONLY, O_APPEND, O_CLOEXEC = 0, 1, 0x400, 0x80000 -- <asm-generic/fcntl.h>
local PROT_READ, MAP_SHARED = 1, 1 -- <asm-generic/mman-common.h>
local MAP_FAILED = ffi.cast("void *", -1)
local SIZE = ffi.sizeof("headgate_common")
local OBJECTS, SESSIONS = 10000, 16384 -- that each worker remembers
local LONGEST_KEY = 2048 -- bytes of what a session is known by; with more it goes the long way
local LONGEST = 60 -- seconds for which anything is remembered
local FURTHEST = 5 -- seconds ahead: delivery lends for two, so that what is lent for longer is of a clock that was set back since
local C, var, now = ffi.C, ngx.var, ngx.now

-- Return the memory that the file at ``path`` is, nil where it is not there.
local function map(path)
    local descriptor = C.open(path, O_RDONLY + O_CLOEXEC)
    if descriptor < 0 then
        return nil
    end
    local memory = C.mmap(nil, SIZE, PROT_READ, MAP_SHARED, descriptor, 0)
    C.close(descriptor)
    return memory ~= MAP_FAILED and ffi.cast("volatile headgate_common *", memory) or nil
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

-- Return what nginx's variables ``names`` hold now, nil where that is not to be remembered.
local function remembered(names, upto, number, at)
    upto = math.min(tonumber(upto) or 0, at + LONGEST)
    if at >= upto then
        return nil
    end
    local known = {number = number, from = at, upto = upto, values = {}}
    for index = 1, #names do
        known.values[index] = var[names[index]] or ""
        known[names[index]] = known.values[index]
    end
    return known
end

-- ``folder`` is where nginx meets delivery; an object of more than ``most`` bytes is told to begin; ``of_object`` and ``of_session`` are
-- nginx's variables that an answer gives, none of a session where no permission is asked for. ``fields`` are the fields of an answer,
-- each with the variable that has it, and ``constant`` those that are always the same, as they are written.
return function(folder, most, of_object, of_session, fields, constant)
    local objects = lrucache.new(OBJECTS)
    -- A session is one of a screen, which is known by a short name here, with one release.
    local screens, count = lrucache.new(SESSIONS), 0
    local sessions = #of_session > 0 and lrucache.new(SESSIONS)
    local nobody = {door = "/trees", subject = "", marks = "", values = {}}
    local common, log, looked
    local turn, told_now

    -- Each worker opens both, and looks for what delivery has not made yet once a second.
    local function meets(at)
        if not common and looked ~= math.floor(at) then
            looked = math.floor(at)
            log = log or C.open(folder .. "/deliveries.log", O_WRONLY + O_APPEND + O_CLOEXEC)
            if log < 0 then
                log = nil
                return false
            end
            common = map(folder .. "/recalls")
        end
        return common and at < common.lease and common.lease <= at + FURTHEST
    end

    -- Return what every player is told now.
    local function tells()
        if turn ~= common.turn then
            turn = common.turn
            told_now = ffi.string(ffi.cast("const char *", common.told[turn % 2]))
        end
        return told_now
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

    -- Return the object of this name and the session that it is asked for in, where both are remembered, else nil.
    local function known(name, number, at)
        local object = objects:get(name)
        if not holds(object, number, at) then
            return nil
        end
        if not sessions then
            return object, nobody
        end
        local screen = screens:get(var.session)
        local session = screen and sessions:get(screen .. object.folder)
        if not holds(session, number, at) then
            return nil
        end
        return object, session
    end

    -- Return all fields of a small answer, with the variables that it takes set, where everything is remembered, else nothing.
    local function small()
        local name, at = var.plain, now()
        if name ~= "" and meets(at) then
            local object, session = known(name, common.number, at)
            if object and object.bytes <= most then
                if object.cmsd_dynamic ~= tells() then
                    object.cmsd_dynamic = tells()
                    object.words = words(object)
                end
                var.found = session.door .. object.found
                var.meter = object.meter .. " " .. session.subject .. " " .. session.marks .. " " .. object.size .. " "
                return object.words
            end
        end
        return var.target and "" -- asked for as long as nginx has the name
    end

    -- Return ``spoken`` (it is small) or ``large``, with all variables set, where everything is remembered, else the number that is to be
    -- learned under.
    local function way()
        local at = now()
        if not meets(at) then
            return ""
        end
        local number, range = common.number, var.http_range
        local object, session = known(var.target, number, at)
        if not object or range and not fits(range, object.bytes) then
            return number
        end
        local large = object.bytes > most
        -- What is taken back after it was told is found in the log, and broken off: so it is looked at once more.
        if large and not (tell(object, session) and common.number == number) then
            return number
        end
        set(of_session, session.values)
        set(of_object, object.values)
        var.cmsd_dynamic = tells()
        return large and "large" or "spoken"
    end

    -- Remember what the long way was told, once it has opened the object.
    local function learn()
        local number, at = tonumber(var.way), now()
        if not number or ngx.status >= 300 then
            return
        end
        local object = remembered(of_object, var.object_until, number, at)
        if object then
            object.bytes, object.folder, object.words = tonumber(object.size), var.folder, words(object)
            objects:set(var.target, object)
        end
        local session = sessions and #var.session <= LONGEST_KEY and remembered(of_session, var.session_until, number, at)
        if session then
            local screen = screens:get(var.session)
            if not screen then
                count = count + 1
                screen = tostring(count)
                screens:set(var.session, screen)
            end
            sessions:set(screen .. var.folder, session)
        end
    end

    -- Forget an object that is not where it was: delivery makes a link anew for whoever asks.
    local function forget()
        objects:delete(var.target)
        return ""
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

    return {small = safely(small), way = safely(way), learn = safely(learn), forget = safely(forget)}
end
