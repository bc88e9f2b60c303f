local suspended = obj.spec.suspend == true
local reports = obj.spec.retention.action ~= "Delete"
local due = obj.status ~= nil and obj.status.dueCount ~= nil and obj.status.dueCount > 0

local actions = {}
actions["suspend"] = { ["disabled"] = suspended }
actions["resume"] = { ["disabled"] = not suspended }
actions["approve-deletion"] = { ["disabled"] = suspended or not reports or not due }
return actions
