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
local CONTENTS = 2048 -- small objects whose content each worker remembers: no more than 64 MiB
local LARGE = 100000 -- bytes: of an answer with more its player is told how its connection is
local LOOK = 1 -- seconds for which that is known
local PLACES = 65536 -- screens with a release each: with more, all of them are asked about anew
local LONGEST_KEY = 2048 -- bytes of what a session is known by; with more it goes the long way
local LONGEST = 60 -- seconds for which anything is remembered
local FURTHEST = 5 -- seconds ahead: delivery lends for two, so that what is lent for longer is of a clock that was set back since
local C, var = ffi.C, ngx.var

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

-- Return a memory of so many that forgets what was not asked for since half as many others came. It answers sooner than resty.lrucache,
-- which knows which one was asked for least lately.
local function generations(most)
    return {young = {}, old = {}, count = 0, most = most / 2}
end

local function remember(memory, key, value)
    if memory.young[key] == nil then
        if memory.count >= memory.most then
            memory.old, memory.young, memory.count = memory.young, {}, 0
        end
        memory.count = memory.count + 1
    end
    memory.young[key] = value
end

local function recall(memory, key)
    local value = memory.young[key]
    if value == nil then
        value = memory.old[key]
        if value ~= nil then
            remember(memory, key, value)
        end
    end
    return value
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
-- each with the variable that has it, and ``constant`` those that are always the same, as they are written; ``box`` is what players know
-- this one by. ``values`` and ``accounts`` are the files of these names.
return function(folder, most, of_object, of_session, fields, constant, box, values, accounts)
    local get, now = values.get, values.now
    local objects = lrucache.new(OBJECTS)
    -- A session is one of a screen, which is known by a short name here, with one release.
    local screens, count = lrucache.new(SESSIONS), 0
    local sessions = #of_session > 0 and lrucache.new(SESSIONS)
    -- Also what was asked for as a whole: by the line of the request, and by its head and where it came from.
    local lines, large_lines, persons, places = generations(CONTENTS), generations(OBJECTS), generations(SESSIONS), 0
    local links = generations(SESSIONS) -- what was known last of a connection
    -- What is being given, to whom, and where a large one is taken down, by nginx's request.
    local answers, whoses, begun = {}, {}, {}
    local nobody = {door = "/trees", subject = "", marks = "", values = {}}
    local common, log, looked, account
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
            account = account or accounts(folder, log, values)
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

    -- Return what is in the file at ``place``, where it is all of the object; what was read before of the same place is not read again.
    local function content(place, object, before)
        if before and before.object.found == object.found and before.bytes == object.bytes then
            return before.body
        end
        local file = io.open(folder .. place, "rb")
        local body = file and file:read(object.bytes + 1)
        if file then
            file:close()
        end
        return body and #body == object.bytes and body or nil
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

    -- Remember what is answered to requests of this line, and to screens that send this head, so that ``small`` need not read either: what
    -- nginx reads in the same bytes is the same.
    local function adopt(object, session)
        local line = var.request
        if var.plain == "" or line:sub(1, 5) ~= "GET /" then
            return
        end
        local head = ngx.req.raw_header(true)
        local screen = var.remote_addr .. head
        if #screen > LONGEST_KEY then
            return
        end
        local large = object.bytes > most
        local one = recall(large and large_lines or lines, line)
        if large then
            if not one or one.object ~= object then
                remember(large_lines, line, {object = object, target = var.target})
            end
        elseif not one or one.object ~= object then
            local body = content(session.door .. object.found, object, one)
            if not body then
                return
            end
            remember(lines, line, {object = object, body = body})
        end
        local person = recall(persons, screen)
        if places == PLACES then
            persons, places, person = generations(SESSIONS), 0, nil
        end
        if not person then
            person = {head = head} -- a text that is held need not be made again
            remember(persons, screen, person)
        end
        if not person[object.folder] then
            places = places + 1
        end
        local whose = session.subject .. " " .. session.marks
        person[object.folder] = {known = session, address = var.remote_addr, session = whose, text = var.remote_addr .. " " .. whose}
    end

    -- Return what an answer says now, and its account. A large one says last how the connection is.
    local function answer(what)
        local object, before, told = what.object, what.answer, tells()
        if object.bytes >= LARGE then
            object.cmsd_dynamic, told = "", "\r\nCMSD-Dynamic: " .. (told == "" and box or told)
        else
            object.cmsd_dynamic, told = told, ""
        end
        return {of = what, words = words(object) .. told, meter = object.meter, size = object.size, bytes = object.bytes,
                text = object.meter .. " " .. object.size, place = before and before.place}
    end

    -- Return what nginx knows of the connection now, or knew a moment ago, and how long its answer took until here, as ``CMSD-Dynamic``
    -- has it.
    local function link(at)
        local connection = get("connection")
        local known = recall(links, connection)
        if not known or known.upto <= at or at < known.upto - LOOK then
            local rtt = tonumber(get("tcpinfo_rtt"))
            local text = rtt and string.format(";rtt=%d", math.max(1, rtt / 1000)) or ""
            known = {upto = at + LOOK, text = text, soon = text .. ";rd=1"}
            remember(links, connection, known)
        end
        local took = at - values.began()
        return took < 0.0015 and known.soon or known.text .. string.format(";rd=%d", took * 1000 + 0.5)
    end

    -- Return the fields of a large answer.
    local function linked(answer, at)
        local said = link(at)
        if answer.link ~= said then -- most connections are alike
            answer.link, answer.linked = said, answer.words .. said
        end
        return answer.linked
    end

    -- Begin a large answer: have nginx find it, with the fields that it takes set; return whether it may. The link is there only as long as
    -- the release may be served.
    local function begin(what, whose, at)
        local object, answer = what.object, what.answer
        local place = account.begin(answer, whose)
        if not place then
            return false
        end
        local key = values.key()
        answers[key], whoses[key], begun[key] = answer, whose, place
        var.type = object.bytes >= LARGE and linked(answer, at) or answer.words
        -- What is taken back after it was taken down is found there, and broken off: so it is looked at once more.
        if common.number ~= object.number then
            answers[key], whoses[key], begun[key] = nil, nil, nil
            account.leave(place)
            return false
        end
        var.found = whose.known.door .. object.found
        return true
    end

    -- Return the content of a small answer, with the fields that it takes set, where everything is remembered; nothing where nginx finds a
    -- large one (``found``), or nothing is remembered. The bytes of the ``head`` come from outside, since LuaJIT could not go on compiling
    -- behind the call that reads them; ``read``: nginx has them.
    local function plain(read, head)
        local request = get("request")
        local what, at = recall(lines, request) or recall(large_lines, request), now()
        if what and read and meets(at) and holds(what.object, common.number, at) then
            local person = recall(persons, get("remote_addr") .. head)
            local whose = person and person[what.object.folder]
            if whose and (whose.known == nobody or holds(whose.known, common.number, at)) then
                if what.turn ~= common.turn then
                    what.turn = common.turn
                    what.answer = answer(what)
                end
                if what.body then
                    var.type = what.answer.words
                    local key = values.key()
                    answers[key], whoses[key] = what.answer, whose
                    return what.body
                end
                if begin(what, whose, at) then
                    return ""
                end
            end
        end
        return var.target and "" -- asked for as long as nginx has the name
    end

    -- Take down what ``plain`` gave, now that it is over.
    local function over()
        local key = values.key()
        local answer, whose, place = answers[key], whoses[key], begun[key]
        if answer then
            answers[key], whoses[key], begun[key] = nil, nil, nil
            account.over(answer, whose, place)
        end
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
        if object.bytes > 1 then -- an only "0" nginx would take for nothing
            adopt(object, session)
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
            object.bytes, object.folder = tonumber(object.size), var.folder
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
        local key = values.key()
        local answer, place = answers[key], begun[key]
        answers[key], whoses[key], begun[key] = nil, nil, nil
        if place then
            account.leave(place)
            objects:delete(answer.of.target)
            answer.of.object.upto = 0
        else
            objects:delete(var.target)
        end
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

    -- The first two are called for each answer, and no trace of LuaJIT's begins in what is called by ``pcall``.
    return {plain = plain, over = over, way = safely(way), learn = safely(learn), forget = safely(forget)}
end
