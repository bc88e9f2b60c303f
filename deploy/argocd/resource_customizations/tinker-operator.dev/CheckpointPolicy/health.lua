-- Reads the conditions as kstatus does, so that Argo CD, kubectl wait and every other tool say the same.
-- A policy that waits for a grace period, or only reports, does what it was told: it is Healthy.
local health = { status = "Progressing", message = "Waiting for the operator to see the object as it is now." }

if obj.status == nil or obj.status.conditions == nil then
  return health
end
if obj.metadata.generation ~= nil and obj.status.observedGeneration ~= obj.metadata.generation then
  return health
end

local conditions = {}
for _, condition in ipairs(obj.status.conditions) do
  conditions[condition.type] = condition
end

local function says(condition)
  return condition.reason .. ": " .. condition.message
end

local ready = conditions["Ready"]
if conditions["Stalled"] ~= nil and conditions["Stalled"].status == "True" then
  health.status = "Degraded"
  health.message = says(conditions["Stalled"])
elseif ready ~= nil and ready.status == "True" then
  health.status = "Healthy"
  health.message = says(ready)
elseif ready ~= nil and ready.reason == "Suspended" then
  health.status = "Suspended"
  health.message = says(ready)
elseif ready ~= nil then
  health.message = says(ready)
end

-- None of these changes the health; whoever looks should know all the same.
local notes = { { "Synced", "False" }, { "CheckpointFresh", "False" }, { "Conflicted", "True" } }
for _, note in ipairs(notes) do
  local condition = conditions[note[1]]
  if condition ~= nil and condition.status == note[2] and (ready == nil or condition.reason ~= ready.reason) then
    health.message = health.message .. " " .. note[1] .. "=" .. note[2] .. ": " .. says(condition)
  end
end

return health
