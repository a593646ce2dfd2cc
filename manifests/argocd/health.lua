-- How Argo CD judges a Site, Link or Service: as kstatus and Flux do, by `observedGeneration` and three conditions.
local conditions = {}
for _, condition in ipairs((obj.status or {}).conditions or {}) do
  conditions[condition.type] = condition
end
local function is_true(kind)
  return conditions[kind] ~= nil and conditions[kind].status == "True"
end
local function health(status, kind, otherwise)
  local told = conditions[kind]
  if told == nil then
    return {status = status, message = otherwise}
  end
  return {status = status, message = (told.reason or kind) .. ": " .. (told.message or "")}
end

if obj.metadata.deletionTimestamp ~= nil then
  return {status = "Progressing", message = "It is being deleted"}
end
if obj.status == nil or obj.status.observedGeneration ~= obj.metadata.generation then
  return {status = "Progressing", message = "Waiting for the controller to look at this generation"}
end
if is_true("Reconciling") then
  return health("Progressing", "Reconciling")
end
if is_true("Stalled") then
  return health("Degraded", "Stalled")
end
if is_true("Ready") then
  return health("Healthy", "Ready")
end
return health("Progressing", "Ready", "Waiting for the condition Ready")
