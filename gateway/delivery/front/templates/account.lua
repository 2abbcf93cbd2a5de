-- The account of small answers that a worker gives by itself (quick.lua beside this): 32 bytes each, in memory that delivery reads.
--
-- ../accounts.py reads it, and says how. A worker has one of the files there for itself; where it has none, or delivery is behind, an
-- answer is a line of the log, as nginx itself would write it. What was written outlives the worker.

local ffi = require "ffi"

ffi.cdef [[
    int open(const char *path, int flags, ...);
    int close(int descriptor);
    int flock(int descriptor, int operation);
    int posix_fallocate(int descriptor, long offset, long length);
    void *mmap(void *address, size_t length, int protection, int flags, int descriptor, long offset);
    ssize_t write(int descriptor, const void *data, size_t count);
    typedef struct { double head, texts_head, spare[6], tail, texts_tail; } headgate_account;
    typedef struct { uint32_t what, whose, sent, body, milliseconds; uint16_t port; uint8_t how, spare; double at; } headgate_answer;
]]

local O_RDWR, O_CLOEXEC = 2, 0x80000 -- <asm-generic/fcntl.h>
local LOCK_EX, LOCK_NB = 2, 4 -- <asm-generic/fcntl.h>
local PROT_READ, PROT_WRITE, MAP_SHARED = 1, 2, 1 -- <asm-generic/mman-common.h>
local MAP_FAILED = ffi.cast("void *", -1)
local ANSWERS, TEXTS = 2 ^ 19, 2 ^ 22 -- how many, and how many bytes, before it begins again where it began
local BEHIND = 4096 -- bytes of the counts before them
local SIZE = BEHIND + ANSWERS * ffi.sizeof("headgate_answer") + TEXTS
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
    local texts = memory and memory + (SIZE - TEXTS)

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

    -- Take down that an answer is over: ``what`` is the object as it was told, ``whose`` the screen and its session, each with its ``text``
    -- besides. Answers that say the same have as many bytes, but for what they say of the connection.
    return function(what, whose)
        local at, done = values.now(), has("request_completion")
        local seconds, body, closed = at - values.began(), what.bytes, done and has("then")
        local sent = what.sent
        if closed or not done or not sent then
            sent = tonumber(get("bytes_sent"))
        end
        if not done then
            body = tonumber(get("body_bytes_sent"))
        elseif not closed then
            what.sent = sent
        end
        if account and add(what, whose, sent, body, seconds, (done and DONE or 0) + (closed and CLOSED or 0), at) then
            return
        end
        local how = (done and "OK" or "") .. (closed and "close" or "")
        local line = string.format("e  %.3f %.3f %d %d %s 200 %s %s %s %s %s %s \n", at, seconds, sent, body, how, get("connection"),
                                   whose.address, get("remote_port"), what.meter, whose.session, what.size)
        C.write(log, line, #line)
    end
end
