-- wrk asks for one after the other of PREFIX0.m4s, PREFIX1.m4s .. (wrk ... URL -- PREFIX COUNT).

local prefix, count
local number = 0

function init(arguments)
    prefix, count = arguments[1], tonumber(arguments[2])
end

function request()
    number = (number + 1) % count
    return wrk.format("GET", prefix .. number .. ".m4s")
end
