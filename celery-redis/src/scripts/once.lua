-- KEYS are those of the commands, which are all of ARGV. Returns nothing.
local wrong = fault(1)
if wrong then
    return wrong
end
carry_out(1)
