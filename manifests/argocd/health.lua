-- Health of an MCSInstance, a Community or a TVoxLink for Argo CD. One script for all three: all follow kstatus, so
-- that Argo CD says Healthy, Progressing and Degraded where Flux says Current, InProgress and Failed.
--
-- Healthy, too: a customer who is disabled, and one whose TVox has not connected. Argo CD goes on to the next sync wave
-- when all is Healthy and not before, and a pipeline must not wait for a visit to a customer's site.
local status = obj.status or {}
if status.observedGeneration ~= obj.metadata.generation then
  return { status = "Progressing", message = "the operator has not seen this generation yet" }
end

local found = {}
for _, condition in ipairs(status.conditions or {}) do
  found[condition.type] = condition
end

local function is_true(type)
  return found[type] ~= nil and found[type].status == "True"
end

local function told(type)
  local condition = found[type]
  if condition == nil then
    return ""
  end
  if condition.message == nil or condition.message == "" then
    return condition.reason
  end
  return condition.reason .. ": " .. condition.message
end

if is_true("Reconciling") then
  return { status = "Progressing", message = told("Reconciling") }
end
if is_true("Stalled") then
  return { status = "Degraded", message = told("Stalled") }
end
if is_true("Ready") then
  local message = told("Ready")
  if found.Connected ~= nil then
    message = message .. "; tunnel: " .. told("Connected")
  end
  return { status = "Healthy", message = message }
end
return { status = "Progressing", message = told("Ready") }
