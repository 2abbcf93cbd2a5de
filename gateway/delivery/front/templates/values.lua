-- What the quick way reads of nginx (quick.lua and account.lua beside this), in functions that LuaJIT always compiles.
--
-- resty.core has them, too, but they end in a call of a builtin function (``return tonumber(..)``), with which no trace can begin: LuaJIT
-- gives such a function up once it was tried some times, and whatever calls it. Then an answer takes as long again, or not, by chance.
-- So nothing here, and nothing that is called for each answer, returns what a builtin function returns without having it first.

local ffi = require "ffi"
local get_request = require("resty.core.base").get_request
for _, declares in ipairs {"var", "time", "request"} do
    require("resty.core." .. declares)
end

local C, cast, string = ffi.C, ffi.cast, ffi.string
local LONGEST = 64 -- bytes of a variable's name
local value, length, message, lowered = ffi.new("char *[1]"), ffi.new("size_t[1]"), ffi.new("char *[1]"), ffi.new("char[?]", LONGEST)

-- Return the variable ``name``, empty where there is none.
local function get(name)
    local told, text = C.ngx_http_lua_ffi_var_get(get_request(), name, #name, lowered, 0, value, length, message), ""
    if told == 0 then
        text = string(value[0], length[0])
    end
    return text
end

-- Return whether the variable ``name`` says anything.
local function has(name)
    local told = C.ngx_http_lua_ffi_var_get(get_request(), name, #name, lowered, 0, value, length, message)
    return told == 0 and length[0] > 0
end

-- Return the time of nginx's clock, in seconds since 1970.
local function now()
    local at = C.ngx_http_lua_ffi_now()
    return at
end

-- Return when the request began, by the same clock.
local function began()
    local at = C.ngx_http_lua_ffi_req_start_time(get_request())
    return at
end

-- Return what the request is known by as long as it lasts.
local function key()
    local number = tonumber(cast("uintptr_t", get_request()))
    return number
end

return {get = get, has = has, now = now, began = began, key = key}
