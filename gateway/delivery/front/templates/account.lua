-- The account of answers that a worker gives by itself (quick.lua beside this), in memory that delivery reads: 32 bytes of each that is
-- over, and, as long as it runs, what a large one is and who gets it.
--
-- ../accounts.py reads it, and says how. A worker has one of the files there for itself; where it has none, no large one begins here, and
-- a small one, as any where delivery is behind, is a line of the log, as nginx itself would write it. What was written outlives the worker.

local ffi = require "ffi"

ffi.cdef [[
    int open(const char *path, int flags, ...);
    int close(int descriptor);
    int flock(int descriptor, int operation);
    int posix_fallocate(int descriptor, long offset, long length);
    void *mmap(void *address, size_t length, int protection, int flags, int descriptor, long offset);
    ssize_t write(int descriptor, const void *data, size_t count);
    typedef struct { double head, texts_head, lost, spare[5], tail, texts_tail; } headgate_account;
    typedef struct { uint32_t what, whose, sent, body, milliseconds; uint16_t port; uint8_t how, spare; double at; } headgate_answer;
    typedef struct { uint8_t runs, spare; uint16_t port, what, whose; char text[504]; } headgate_running;
]]

local O_RDWR, O_CLOEXEC = 2, 0x80000 -- <asm-generic/fcntl.h>
local LOCK_EX, LOCK_NB = 2, 4 -- <asm-generic/fcntl.h>
local PROT_READ, PROT_WRITE, MAP_SHARED = 1, 2, 1 -- <asm-generic/mman-common.h>
local MAP_FAILED = ffi.cast("void *", -1)
local ANSWERS, TEXTS = 2 ^ 19, 2 ^ 22 -- how many, and how many bytes, before it begins again where it began
local RUNNING, TEXT = 4096, 504 -- large answers under way, and bytes of what is said of one
local BEHIND = 4096 -- bytes of the counts before them
local TEXTS_AT = BEHIND + ANSWERS * ffi.sizeof("headgate_answer")
local RUNNING_AT = TEXTS_AT + TEXTS
local SIZE = RUNNING_AT + RUNNING * ffi.sizeof("headgate_running")
local DONE, CLOSED = 1, 2 -- of ``how``
local C = ffi.C

-- Return the memory of the first file ``folder``/answers.N that no other worker has, nil where there is none.
local function claim(folder)
    if jit.arch ~= "x64" and jit.arch ~= "x86" then
        return nil -- elsewhere what was written first may be seen last
    end
    for number = 0, math.huge do
        local descriptor = C.open(folder .. "/answers." .. number, O_RDWR + O_CLOEXEC)
        if descriptor < 0 then
            return nil
        end
        -- The lock is held until the worker ends, however it does. A full file system is told here, not by a signal later.
        if C.flock(descriptor, LOCK_EX + LOCK_NB) == 0 and C.posix_fallocate(descriptor, 0, SIZE) == 0 then
            local memory = C.mmap(nil, SIZE, PROT_READ + PROT_WRITE, MAP_SHARED, descriptor, 0)
            if memory ~= MAP_FAILED then
                return ffi.cast("char *", memory)
            end
        end
        C.close(descriptor)
    end
end

-- ``folder`` is where nginx meets delivery, ``log`` the descriptor of the log.
return function(folder, log, values)
    local get, has = values.get, values.has
    local memory = claim(folder)
    local account = memory and ffi.cast("volatile headgate_account *", memory)
    local answers = memory and ffi.cast("headgate_answer *", memory + BEHIND)
    local texts = memory and memory + TEXTS_AT
    local running = memory and ffi.cast("headgate_running *", memory + RUNNING_AT)
    local free, unused = {}, 0 -- places of large answers

    -- What ran here was of a worker that ended without a word.
    for number = 0, memory and RUNNING - 1 or -1 do
        if running[number].runs ~= 0 then
            running[number].runs = 0
            account.lost = account.lost + 1
        end
        unused = unused + 1
        free[unused] = number
    end

    -- Return where in the texts ``of.text`` is, nil where there is no room for it. It is written again before others could be written over
    -- it: half of the texts may be needed yet when ``texts_tail`` says what is not needed any more, and half is written then.
    local function place(of)
        local head = account.texts_head
        if of.place and head - of.place < TEXTS / 2 then
            return of.place % TEXTS
        end
        local size, at = #of.text + 1, head
        if at % TEXTS + size > TEXTS then
            at = at + TEXTS - at % TEXTS -- it is in one piece
        end
        if at + size - account.texts_tail > TEXTS / 2 then
            return nil
        end
        ffi.copy(texts + at % TEXTS, of.text, #of.text)
        texts[at % TEXTS + #of.text] = 10
        of.place = at
        account.texts_head = at + size
        return at % TEXTS
    end

    local function add(what, whose, sent, body, seconds, how, at)
        local head = account.head
        local said, of = place(what), place(whose)
        if not said or not of or head - account.tail >= ANSWERS then
            return false
        end
        local port, one = tonumber(get("remote_port")), answers + head % ANSWERS
        one.what, one.whose, one.sent, one.body, one.milliseconds = said, of, sent, body, seconds * 1000 + 0.5
        one.port, one.how, one.spare, one.at = port, how, 0, at
        account.head = head + 1 -- behind all of it
        return true
    end

    -- Take down that a large answer is about to begin; return where that is, nil where there is no room for it.
    local function begin(what, whose)
        local said, of = #what.text, #whose.text
        if unused == 0 or said + of > TEXT then -- also where there is no account
            return nil
        end
        local place = free[unused]
        unused = unused - 1
        local one = running[place]
        ffi.copy(one.text, what.text, said)
        ffi.copy(one.text + said, whose.text, of)
        one.port, one.what, one.whose = tonumber(get("remote_port")), said, of
        one.runs = 1 -- behind all of it
        return place
    end

    -- Take down that what began at ``place`` does not run.
    local function leave(place)
        running[place].runs = 0
        unused = unused + 1
        free[unused] = place
    end

    -- Take down that an answer is over: ``what`` is the object as it was told, ``whose`` the screen and its session, each with its ``text``
    -- besides. Small answers (without ``place``) that say the same have as many bytes, but for what they say of the connection.
    local function over(what, whose, place)
        if place and get("status") ~= "200" then -- nginx refused it by itself
            local refusal = get("refusal")
            if refusal ~= "" then
                local line = '{"refused":"' .. refusal .. '"}\n'
                C.write(log, line, #line)
            end
            leave(place)
            return
        end
        local at, done = values.now(), has("request_completion")
        local seconds, body, closed = at - values.began(), what.bytes, done and has("then")
        local sent = what.sent
        if closed or not done or not sent or place then
            sent = tonumber(get("bytes_sent"))
        end
        if not done then
            body = tonumber(get("body_bytes_sent"))
        elseif not closed and not place then
            what.sent = sent
        end
        if not (account and add(what, whose, sent, body, seconds, (done and DONE or 0) + (closed and CLOSED or 0), at)) then
            local how = (done and "OK" or "") .. (closed and "close" or "")
            local line = string.format("e  %.3f %.3f %d %d %s 200 %s %s %s %s %s %s \n", at, seconds, sent, body, how, get("connection"),
                                       whose.address, get("remote_port"), what.meter, whose.session, what.size)
            C.write(log, line, #line)
        end
        if place then
            leave(place) -- who looks for what runs finds it, or has been told that it is over
        end
    end

    return {begin = begin, leave = leave, over = over}
end
